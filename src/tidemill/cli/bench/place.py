"""Where a benchmark runs, and what it needs of an engine: counting, waiting, tidying up."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tidemill.cli.batches import PAGE, all_found
from tidemill.cli.bench.process import Program
from tidemill.cli.progress import Advance
from tidemill.engine import Engine, TaskQuery
from tidemill.engines import open_engine
from tidemill.task import State, Task

TYPES = frozenset({"bench.noop", "bench.stamp"})
"""The task types of `tidemill.cli.bench.app`."""

FINALS = (State.COMPLETED, State.FAILED, State.CANCELLED)
"""The states in which a task has ended."""

_LOOK = timedelta(milliseconds=200)


@contextmanager
def engine_url(url: str | None) -> Iterator[str]:
    """The URL to measure: the one that was named, else that of a SQLite file soon removed."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        yield f"sqlite:///{Path(folder) / 'bench.db'}"


@asynccontextmanager
async def engine_at(url: str) -> AsyncIterator[Engine]:
    """An engine, open."""
    engine = open_engine(url).session()
    try:
        await engine.migrate()
        yield engine
    finally:
        await engine.close()


async def count(engine: Engine, task_type: str, *states: State) -> int:
    """How many tasks of a type are in these states."""
    stats = await engine.stats()
    return sum(
        each.count for each in stats.counts if each.task_type == task_type and each.state in states
    )


async def all_final(
    engine: Engine, task_type: str, before: int, total: int, worker: Program, advance: Advance
) -> None:
    """Return when `total` more tasks than `before` are final; raises if the worker ends first."""
    while True:
        done = await count(engine, task_type, *FINALS) - before
        advance(done)
        if done >= total:
            return
        await worker.raise_if_ended()
        await asyncio.sleep(_LOOK.total_seconds())


async def tasks_of(engine: Engine, ids: Sequence[str]) -> list[Task]:
    """The records of these tasks, read back from the engine."""
    found: list[Task] = []
    for start in range(0, len(ids), PAGE):
        batch = tuple(ids[start : start + PAGE])
        found += (await engine.find(TaskQuery(ids=batch, limit=PAGE))).tasks
    return found


async def tidy(engine: Engine, since: datetime) -> None:
    """Leave a named engine as it was found: cancel what waits, then remove what was made."""
    found = await all_found(engine, TaskQuery(task_types=TYPES, enqueued_from=since))
    for start in range(0, len(found), PAGE):
        ids = found[start : start + PAGE]
        await engine.cancel(ids, "the benchmark is over")
        await engine.remove(ids)
