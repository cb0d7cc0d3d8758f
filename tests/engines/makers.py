"""The engines that every rule is checked against, each on a fresh store."""

import itertools
from collections.abc import Callable
from pathlib import Path

from tidemill.clock import Clock
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.testing import MakeEngine


def memory(_folder: Path) -> MakeEngine:
    """Engines in memory."""
    return lambda clock: MemoryEngine(clock=clock)


def sqlite(folder: Path) -> MakeEngine:
    """Engines with a database file each, in this folder."""
    from tidemill.engines.sqlite import SqliteEngine

    numbers = itertools.count(1)

    def make(clock: Clock) -> Engine:
        return SqliteEngine(folder / f"{next(numbers)}.db", clock=clock)

    return make


ENGINES: dict[str, Callable[[Path], MakeEngine]] = {"memory": memory, "sqlite": sqlite}

UNPROMISED: dict[str, frozenset[str]] = {
    "memory": frozenset({"transactions"}),
    "sqlite": frozenset(),
}
"""Subjects of rules that an engine's capability record leaves out."""
