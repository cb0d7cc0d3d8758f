"""A small HTTP server on the loopback that answers `GET /metrics` and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from tidemill.errors import ConfigError
from tidemill.metrics import Family
from tidemill.observe.exposition import exposition, require

HOST: Final = "127.0.0.1"
PATIENCE: Final = 10.0
"""Seconds that a client has to ask."""

MOST_HEAD: Final = 16 * 1024

Read = Callable[[], Awaitable[Iterable[Family]]]


@asynccontextmanager
async def serving_metrics(read: Read, port: int) -> AsyncIterator[int]:
    """Serve what `read` gives as long as the context is open; gives the port (0 takes a free one).

    Raises `ConfigError` for a port that cannot be had, or without `prometheus-client`.
    """
    require()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
                async with asyncio.timeout(PATIENCE):
                    head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await _answer(read, head))
                await writer.drain()
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, HOST, port, limit=MOST_HEAD)
    except OSError as error:
        raise ConfigError(f"metrics cannot be served on {HOST}:{port}: {error.strerror}") from error
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _answer(read: Read, head: bytes) -> bytes:
    asked, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = f"{asked}  ".split(" ", 2)
    if target.partition("?")[0] != "/metrics":
        return _response("404 Not Found", b"metrics are at /metrics\n")
    if method not in ("GET", "HEAD"):
        return _response("405 Method Not Allowed", b"")
    headers = {name.lower(): value.strip() for name, _, value in map(_parted, lines)}
    body, media_type = exposition(await read(), headers.get("accept", ""))
    return _response("200 OK", body if method == "GET" else b"", media_type)


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _response(status: str, body: bytes, media_type: str = "text/plain; charset=utf-8") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
