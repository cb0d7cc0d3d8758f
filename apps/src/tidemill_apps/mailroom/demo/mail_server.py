"""A real IMAP server on the loopback: a process of its own, filled as by any other mail program."""

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imap_tools import MailBoxUnencrypted

HOST: Final = "127.0.0.1"
PASSWORD: Final = "high-water"  # noqa: S105  # of a server that lives as long as the demo

_PROGRAM: Final = "tidemill_apps.mailroom.demo.pymap_process"
_PATIENCE: Final = 20.0
_BETWEEN: Final = 0.02


def installed() -> bool:
    """Whether pymap, the server, is there: it comes with the installation for development."""
    return importlib.util.find_spec("pymap") is not None


@contextmanager
def mail_server(user: str, mails: Iterable[bytes], output: Path) -> Iterator[int]:
    """Serve the mails as the inbox of a user with `PASSWORD`; yields the port.

    Blocking. What the server prints goes to the file `output`. Raises `OSError` when it does not
    answer.
    """
    port = _free_port()
    command = [
        *(sys.executable, "-m", _PROGRAM, "--no-tls", "--no-service", "admin"),
        *("--host", HOST, "--port", str(port), "dict"),
        *("--demo-user", user, "--demo-password", PASSWORD),
    ]
    with (
        output.open("wb") as printed,
        subprocess.Popen(  # noqa: S603  # this interpreter, and a module of this package
            command,
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=printed,
            start_new_session=True,  # Ctrl-C is for the demo, which then ends its server
        ) as process,
    ):
        # leaving the block closes its standard input, which ends it, and waits until it has
        _wait(process, port, output)
        _fill(port, user, mails)
        yield port


def _wait(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > until:
            raise OSError(f"the IMAP server does not answer; it said: {output.read_text()}")
        time.sleep(_BETWEEN)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as opened:
            return opened.recv(4) == b"* OK"
    except OSError:
        return False


def _fill(port: int, user: str, mails: Iterable[bytes]) -> None:
    with MailBoxUnencrypted(HOST, port, timeout=_PATIENCE) as box:
        # a literal and its end go out as two writes, which the kernel would hold back for 40 ms
        box.client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        box.login(user, PASSWORD, initial_folder=None)
        for mail in mails:
            box.append(mail, "INBOX")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])
