"""The loops beside a worker: promote, reclaim, prune, and the look for unknown types."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from tests.worker.facts import Facts, final, until, working
from tidemill import (
    EngineLost,
    EngineRecovered,
    EngineRefused,
    Retention,
    RetryPolicy,
    TaskReclaimed,
    Tidemill,
    fixed,
)
from tidemill.engine import ClaimRequest, Engine, Stats
from tidemill.engines.memory import MemoryEngine
from tidemill.ids import IdMaker
from tidemill.sweeper import Sweeper
from tidemill.task import NewTask, State
from tidemill.testing import Fault, FlakyEngine, scripted

SOON = timedelta(seconds=0.05)


@asynccontextmanager
async def sweeping(
    app: Tidemill, *, lease: timedelta = timedelta(seconds=30)
) -> AsyncIterator[None]:
    running = asyncio.ensure_future(Sweeper(app, lease=lease).run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_a_retried_task_runs_again_when_it_is_due(app: Tidemill, engine: Engine) -> None:
    attempts = []

    @app.task(retry=RetryPolicy(3, fixed(SOON)))
    async def third_time_lucky() -> int:
        attempts.append(True)
        if len(attempts) < 3:
            raise ValueError("not yet")
        return len(attempts)

    async with working(app), sweeping(app):
        assert await (await third_time_lucky.enqueue()).result(20) == 3


async def test_an_expired_lease_is_reclaimed_and_told(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    task = NewTask(id=IdMaker().make(), task_type="work", payload=b"{}")
    await engine.enqueue([task])
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="gone",
        queues=None,
        task_types=frozenset({"work"}),
        limit=1,
        lease=timedelta(0),
    )
    assert await engine.claim(request)
    async with sweeping(app, lease=SOON):
        event = await facts.first(TaskReclaimed)
    assert (event.task_id, event.worker, event.state) == (task.id, "gone", State.PENDING)


async def test_final_tasks_are_pruned_when_their_retention_is_over(
    app: Tidemill, engine: MemoryEngine
) -> None:
    gone = Retention(cancelled=timedelta(0))
    tasks = [
        NewTask(id=each, task_type="work", payload=b"{}", retention=gone)
        for each in IdMaker().make_many(1_200)
    ]
    await engine.enqueue(tasks)
    await engine.cancel([task.id for task in tasks])
    page = await engine.feed(None, 1, timedelta(0))
    async with sweeping(app):
        removed = 0
        while removed < len(tasks):
            page = await engine.feed(page.cursor, 1000, timedelta(seconds=20))
            assert page.entries
            removed += sum(entry.cause == "removed" for entry in page.entries)
    assert removed == len(tasks)


async def test_sweeping_goes_on_after_an_outage(
    app: Tidemill, engine: MemoryEngine, facts: Facts
) -> None:
    app.use_engine(FlakyEngine(engine, scripted(promote=[Fault.BEFORE, Fault.AFTER])))
    task = NewTask(id=IdMaker().make(), task_type="work", payload=b"{}", delay=SOON)
    await engine.enqueue([task])
    async with sweeping(app):
        await until(engine, task.id, State.PENDING)
        await facts.first(EngineRecovered)
    assert [event.doing for event in facts.of(EngineLost)] == ["promote", "promote"]


async def test_a_sweeper_ends_with_the_error_of_an_engine_that_refuses(app: Tidemill) -> None:
    class Refusing(MemoryEngine):
        async def stats(self) -> Stats:
            raise EngineRefused("no stats here")

    app.use_engine(Refusing())
    with pytest.raises(EngineRefused, match="no stats here"):
        await Sweeper(app).run()


async def test_two_sweepers_do_the_work_once(app: Tidemill, engine: Engine) -> None:
    @app.task
    async def quick() -> int:
        return 1

    handles = [await quick.options(delay=SOON).enqueue() for _ in range(20)]
    async with working(app), sweeping(app), sweeping(app):
        tasks = [await final(engine, handle.id) for handle in handles]
    assert {task.attempt for task in tasks} == {1}
