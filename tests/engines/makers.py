"""The engines that every rule is checked against, each on a fresh store."""

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.servers.cluster import cluster
from tests.servers.server import KINDS, Server, server
from tidemill.engine import EngineInfo
from tidemill.engines import open_engine
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.sqlite import SqliteEngine
from tidemill.testing import MakeEngine

Running = Literal["valkey", "redis", "cluster"]


class Servers:
    """The servers of one test process: each is started when it is first asked for.

    One test at a time uses them, and what it stored is gone before the next one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = contextlib.ExitStack()
        self._known: dict[Running, list[Server]] = {}
        self._prefixes = (f"t{number}" for number in itertools.count(1))

    @contextlib.contextmanager
    def addresses(self, kind: Running) -> Iterator[Callable[[], str]]:
        """A function that answers URLs of empty stores; in the end they are empty again."""
        nodes = self._nodes(kind)
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        scheme = "redis+cluster" if kind == "cluster" else "redis"
        yield lambda: f"{scheme}://{hosts}?prefix={next(self._prefixes)}"
        for node in nodes:
            node.command("FLUSHALL")

    def _nodes(self, kind: Running) -> list[Server]:
        if kind not in self._known:
            folder, start = self._folder / kind, self._running.enter_context
            self._known[kind] = (
                start(cluster(folder)) if kind == "cluster" else [start(server(folder, kind=kind))]
            )
        return self._known[kind]

    def close(self) -> None:
        """Stop them all."""
        self._running.close()


Stores = Callable[[Servers], AbstractContextManager[MakeEngine]]
"""Opens what engines of one kind need, and removes it with all that they stored."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of engine: its stores, and what its `info` must say that it promises."""

    stores: Stores
    ordered: Literal["task", "lane"] = "task"
    atomic: Literal["batch", "queue"] = "batch"
    transactional: bool = False

    @property
    def promises(self) -> EngineInfo:
        """An info that promises the same."""
        return EngineInfo(
            name="",
            location="",
            durability="fast",
            ordered=self.ordered,
            atomic=self.atomic,
            transactional=self.transactional,
        )


def _memory(ordered: Literal["task", "lane"]) -> Stores:
    def stores(_servers: Servers) -> AbstractContextManager[MakeEngine]:
        return contextlib.nullcontext(lambda clock: MemoryEngine(clock=clock, ordered=ordered))

    return stores


@contextlib.contextmanager
def _sqlite(_servers: Servers) -> Iterator[MakeEngine]:
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory() as folder:
        yield lambda clock: SqliteEngine(Path(folder) / f"{next(numbers)}.db", clock=clock)


def _redis(kind: Running) -> Stores:
    @contextlib.contextmanager
    def stores(servers: Servers) -> Iterator[MakeEngine]:
        with servers.addresses(kind) as address:
            yield lambda clock: open_engine(address(), clock=clock)

    return stores


ENGINES: dict[str, Kind] = {
    "memory": Kind(_memory("task")),
    "lanes": Kind(_memory("lane"), ordered="lane"),
    "sqlite": Kind(_sqlite, transactional=True),
    **{kind: Kind(_redis(kind), ordered="lane") for kind in KINDS},
}

SPREAD: dict[str, Kind] = {"cluster": Kind(_redis("cluster"), ordered="lane", atomic="queue")}
"""Engines that are spread over several servers: held to the rules, not compared call by call."""
