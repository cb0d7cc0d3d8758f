"""A real `milvus-lite server` for the tests."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers.ports import Port
from tests.servers.process import Process
from tests.servers.waiting import until


class Milvus:
    """A server in its own folder on a loopback port; made by `milvus()`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"milvus://127.0.0.1:{port}"
        self._port = port
        self._folder = folder
        self._process = Process(folder / "log")

    def start(self) -> None:
        """Start it and wait until it listens; takes 2 s of imports."""
        where = ["--data-dir", str(self._folder / "data"), "--port", str(self._port)]
        self._process.start(
            [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1", *where]
        )
        until(self._listens, f"Milvus listens on port {self._port}")

    def kill(self) -> None:
        """End it as a crash does (SIGKILL)."""
        self._process.kill()

    def close(self) -> None:
        """Kill it, if it runs."""
        self._process.close()

    def _listens(self) -> bool:
        if not self._process.running:
            raise RuntimeError(f"Milvus ended:\n{self._process.log.read_text()[-2000:]}")
        with socket.create_connection(("127.0.0.1", self._port), timeout=5):
            return True


@contextlib.contextmanager
def milvus(folder: Path) -> Iterator[Milvus]:
    """A started server, killed at the end."""
    with (
        contextlib.closing(Port.free()) as port,
        contextlib.closing(Milvus(folder, port.number)) as made,
    ):
        made.start()
        yield made
