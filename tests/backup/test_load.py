"""A backup that is taken while a worker works and others enqueue."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tidemill import SystemClock, Tidemill
from tidemill.backup import backup, restore, taking
from tidemill.engine import Engine, TaskQuery
from tidemill.engines.redis import search
from tidemill.settings import WorkerSettings
from tidemill.sweeper import Sweeper
from tidemill.task import State, Task
from tidemill.testing import MakeEngine
from tidemill.worker import Worker

BEFORE = 1_200
DELAYED = 100
MEANWHILE = 1_000
SETTINGS = WorkerSettings(concurrency=20, lease=timedelta(seconds=30))


class Site:
    """An application on one store; `ran` counts how often each task ran here."""

    def __init__(self, engine: Engine) -> None:
        self.app = Tidemill("memory://")
        self.app.use_engine(engine)
        self.ran: Counter[int] = Counter()
        self.open = asyncio.Event()

        @self.app.task(name="count")
        async def count(number: int) -> int:
            await self.open.wait()
            self.ran[number] += 1
            return number

        self.count = count

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """With a worker and a sweeper; in the end it drains."""
        worker = Worker(self.app, SETTINGS)
        running = asyncio.create_task(worker.run())
        sweeping = asyncio.create_task(Sweeper(self.app).run())
        try:
            yield
        finally:
            worker.drain()
            await running
            sweeping.cancel()

    async def tasks(self) -> dict[str, Task]:
        engine = await self.app.engine()
        query, found = TaskQuery(limit=1_000), dict[str, Task]()
        while True:
            page = await engine.find(query)
            found |= {task.id: task for task in page.tasks}
            if page.cursor is None:
                return found
            query = TaskQuery(limit=1_000, before=page.cursor)


@asynccontextmanager
async def opened(make_engine: MakeEngine) -> AsyncIterator[Site]:
    """A site on a fresh store."""
    engine = make_engine(SystemClock())
    site = Site(engine)
    try:
        yield site
    finally:
        await site.app.close()
        await engine.close()


async def test_every_task_that_was_there_completes_once_after_restoring(
    make_engine: MakeEngine, file: Path
) -> None:
    async with opened(make_engine) as source, opened(make_engine) as target:
        there = await backed_up_under_load(source, file)
        await restore(await target.app.engine(), file)
        restored = await target.tasks()
        assert there <= restored.keys()
        left = {task_id for task_id, task in restored.items() if not task.state.final}
        target.open.set()
        async with target.working():
            await asyncio.gather(*(target.app.handle(task_id).result(60) for task_id in left))
        done = await target.tasks()
        assert done.keys() == restored.keys()
        assert {task.state for task in done.values()} == {State.COMPLETED}
        assert target.ran.total() == len(left) == len(target.ran)
        assert all(task == restored[task.id] for task in done.values() if task.id not in left)


async def backed_up_under_load(site: Site, file: Path) -> set[str]:
    """Back up while tasks run and come in; answers the ids of those that were there before.

    The worker's tasks are let go when the first page is written; tasks come in all the time.
    """
    before = await site.count.enqueue_many([{"number": each} for each in range(BEFORE)])
    delayed = await site.count.options(delay=0.2).enqueue_many(
        [{"number": BEFORE + each} for each in range(DELAYED)]
    )
    over = asyncio.Event()

    async def produce() -> None:
        for number in range(BEFORE + DELAYED, BEFORE + DELAYED + MEANWHILE, 20):
            if over.is_set():
                return
            await site.count.enqueue_many([{"number": number + each} for each in range(20)])
            await asyncio.sleep(0)  # the memory engine never waits

    async with site.working():
        producing = asyncio.create_task(produce())
        report = await backup(await site.app.engine(), file, progress=lambda *_: site.open.set())
        over.set()
        await producing
        assert site.ran.total() > 0, "nothing ran while the backup was taken"
    assert report.missing == 0
    return {handle.id for handle in before + delayed}


async def test_a_search_that_lags_is_waited_for(
    make_engine: MakeEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Redis and Valkey one search indexes only a part of what it does not know yet."""
    monkeypatch.setattr(search.catch_up, "__defaults__", (1,))
    monkeypatch.setattr(taking, "INDEXED", search.STEP)
    async with opened(make_engine) as site:
        for first in range(0, 2_000, 10):
            await site.count.enqueue_many([{"number": first + each} for each in range(10)])
        report = await backup(await site.app.engine(), file)
        assert (report.tasks, report.missing) == (2_000, 0)
