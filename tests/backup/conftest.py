"""Stores to back up and to restore into: each kind of engine, and what is in them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.engines.conftest import make_engine
from tests.engines.makers import ENGINES, SPREAD, Kind
from tidemill.engine import (
    SCHEDULE,
    Document,
    Fired,
    Firing,
    HistoryQuery,
    Mark,
    Put,
    QueueDefinition,
    QueueStatus,
    Resolution,
    Tally,
)
from tidemill.outcome import Cancelled, Completed, Failed, Retried
from tidemill.task import Limit, LogLine, Progress, Retention, Task, UniqueKey
from tidemill.testing import Lab, MakeEngine
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import LabClock

__all__ = ["make_engine"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

OpenLab = Callable[[], AbstractAsyncContextManager[Lab]]


def opener(make: MakeEngine, clock: LabClock) -> OpenLab:
    """Opens labs of one kind of engine, each on a fresh store, which share a clock."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Lab]:
        engine = make(clock)
        try:
            await engine.migrate()
            yield Lab(engine, clock)
        finally:
            await engine.close()

    return opened


@pytest.fixture(params=[*ENGINES, *SPREAD])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of engine, also those that are spread."""
    return (ENGINES | SPREAD)[request.param]


@pytest.fixture
def clock() -> LabClock:
    return LabClock()


@pytest.fixture
def open_lab(make_engine: MakeEngine, clock: LabClock) -> OpenLab:
    """Labs of every kind of engine."""
    return opener(make_engine, clock)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a backup goes."""
    return tmp_path / "tidemill.backup.gz"


async def settled(lab: Lab) -> None:
    """Fill a store with what comes back equal: tasks that wait or have ended, and all else."""
    engine = lab.engine
    await engine.configure([QueueDefinition("urgent", 7, timedelta(seconds=9))])
    every = await lab.start(
        queue="urgent",
        user_id="u",
        project_id="p",
        tags=("a", "b"),
        headers={"trace": "1"},
        priority=7,
        timeout=HOUR,
        soft_timeout=MINUTE,
        retention=Retention(DAY, None, HOUR),
        expires_at=lab.now(DAY),
        payload=bytes(range(256)),
        retried_from="00000000-0000-7000-8000-0000000000ab",
    )
    line = LogLine(lab.now(), "info", "sägte 你好", 2)
    await lab.settle(every, Retried(BROKE))
    lab.clock.advance(timedelta(microseconds=1_234_567))
    [again] = await lab.claim(queues=("urgent",))
    await lab.settle(again, Completed(b"\x00yes"), progress=Progress(50.0, "half"), logs=(line,))
    await lab.settle(await lab.start(), Failed(BROKE))
    await lab.settle(await lab.start(parent_id=every.ref.task_id), Cancelled("no"))
    lab.clock.advance(HOUR)
    for priority in (2, 9, 2, 5):
        await lab.add(priority=priority, queue="waiting")
    await lab.add(unique=UniqueKey("k", lasting=DAY), queue="waiting")
    for _ in range(3):
        await lab.add(limit=Limit("l", 1), queue="limited")
    await lab.add(delay=DAY, queue="later", unique=UniqueKey("later"))
    await engine.pause("waiting", paused=True)
    await scheduled(lab)


async def scheduled(lab: Lab) -> None:
    """Two schedules that have fired and missed, and one that has not."""
    for name in ("daily", "hourly", "never"):
        await lab.engine.put([Put(SCHEDULE, name, b'{"name": "%s"}' % name.encode())])
    await lab.engine.put([Put(SCHEDULE, "hourly", b'{"name": "hourly", "changed": true}')])
    await lab.engine.put([Put("schedules", "revision", b"r1")])
    firings = [Firing("daily", lab.now(-DAY), None, missed=4)]
    for name in ("daily", "hourly"):
        task = lab.new(queue="fired")
        firings.append(Firing(name, lab.now(-HOUR), task))
    assert await lab.engine.fire(firings) == [Fired.MISSED, Fired.FIRED, Fired.FIRED]


async def tasks_of(lab: Lab) -> dict[str, Task]:
    """All tasks with all details."""
    return {task.id: task for task in await lab.find()}


async def others_of(
    lab: Lab,
) -> tuple[list[QueueStatus], list[Document], tuple[Mark, ...], list[Tally]]:
    """All that a store holds besides tasks."""
    stats = await lab.engine.stats()
    names = ("daily", "hourly", "never")
    return (
        sorted(stats.queues, key=lambda queue: queue.name),
        await lab.engine.documents(SCHEDULE),
        (await lab.engine.marks(names, 50)).marks,
        [
            tally
            for resolution in Resolution
            for tally in await lab.engine.history(
                HistoryQuery(since=lab.now(-400 * DAY), until=lab.now(DAY), resolution=resolution)
            )
        ],
    )
