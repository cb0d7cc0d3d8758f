"""Commands over a plain socket: the tests' own way in, beside the client under test."""

import socket
from collections.abc import Sequence
from typing import Any

import hiredis
import redis

from tests.servers.certificates import Certificates

Word = str | bytes | float


def ask(port: int, *words: Word, tls: Certificates | None = None) -> Any:
    """The answer to one command; see `converse`."""
    return converse(port, [words], tls=tls)[0]


def converse(
    port: int, commands: Sequence[Sequence[Word]], *, tls: Certificates | None = None
) -> list[Any]:
    """The answers (RESP2) to commands that one connection of the user `tests` sends in turn.

    Raises `redis.ResponseError` with the server's words, `ConnectionError` when nobody serves at
    the port, `TimeoutError` after 10 s of silence.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        if tls is None:
            return _exchange(plain, commands)
        with tls.trusting().wrap_socket(plain, server_hostname="127.0.0.1") as secret:
            return _exchange(secret, commands)


def _exchange(link: socket.socket, commands: Sequence[Sequence[Word]]) -> list[Any]:
    reader = hiredis.Reader(replyError=redis.ResponseError)
    answers = []
    for words in (("AUTH", "tests", "any"), *commands):
        link.sendall(packed(*words))
        answers.append(_answer(link, reader))
    return answers[1:]


def _answer(link: socket.socket, reader: hiredis.Reader) -> Any:
    while (answer := reader.gets()) is False:
        some = link.recv(1 << 16)
        if not some:
            raise ConnectionResetError("The server closed the connection before it had answered")
        reader.feed(some)
    if isinstance(answer, redis.ResponseError):
        raise answer
    return answer


def packed(*words: Word) -> bytes:
    """The bytes that ask for one command."""
    texts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%b\r\n" % (len(t), t) for t in texts)
