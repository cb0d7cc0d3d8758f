"""How a worker ends: drained, in a hurry, recycled."""

import asyncio
import threading
from datetime import timedelta

import pytest

from tests.worker.facts import PATIENCE, Facts, record, working
from tidemill import (
    Context,
    TaskCompleted,
    TaskProgressed,
    TaskReleased,
    TaskStarted,
    Tidemill,
    WorkerDraining,
    WorkerStarted,
    WorkerStopped,
)
from tidemill.engine import Engine
from tidemill.settings import WorkerSettings
from tidemill.task import State
from tidemill.worker import Worker, runtime


async def test_a_drain_finishes_what_runs_and_claims_no_more(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    go = asyncio.Event()

    @app.task
    async def slow() -> str:
        await go.wait()
        return "done"

    worker = Worker(app)
    running = asyncio.ensure_future(worker.run())
    first = await slow.enqueue()
    await facts.first(TaskStarted)
    worker.drain("deploy")
    await facts.first(WorkerDraining)
    second = await slow.enqueue()
    go.set()
    await running
    assert await first.result(20) == "done"
    assert (await record(engine, second.id)).state is State.PENDING
    assert facts.of(WorkerDraining) == [WorkerDraining(worker.name, 1, "deploy")]
    assert facts.of(WorkerStopped) == [WorkerStopped(worker.name, 0)]
    assert not worker.recycle


async def test_after_the_grace_time_tasks_are_handed_back_without_burning_an_attempt(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    async def slow() -> None:
        await asyncio.Event().wait()

    worker = Worker(app, WorkerSettings(grace=timedelta(seconds=0.1)))
    running = asyncio.ensure_future(worker.run())
    handle = await slow.enqueue()
    await facts.first(TaskStarted)
    worker.drain("deploy")
    await running
    task = await record(engine, handle.id)
    assert (task.state, task.attempt, task.alone) == (State.PENDING, 0, False)
    assert len(facts.of(TaskReleased)) == 1
    assert facts.of(WorkerStopped)[0].released == 1


async def test_a_second_drain_cuts_the_grace_time_short(app: Tidemill, facts: Facts) -> None:
    @app.task
    async def slow() -> None:
        await asyncio.Event().wait()

    worker = Worker(app, WorkerSettings(grace=timedelta(hours=1)))
    running = asyncio.ensure_future(worker.run())
    await slow.enqueue()
    await facts.first(TaskStarted)
    worker.drain("SIGTERM")
    await facts.first(WorkerDraining)
    worker.drain("SIGTERM again", grace=timedelta(0))
    async with asyncio.timeout(PATIENCE):
        await running
    assert len(facts.of(TaskReleased)) == 1


async def test_a_thread_that_asks_is_released_and_one_that_does_not_keeps_its_lease(
    app: Tidemill, engine: Engine, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "RELEASE_TIME", 0.3)
    freed = threading.Event()

    @app.task(name="polite")
    def polite(ctx: Context) -> None:
        ctx.progress(1)
        while not ctx.should_stop:
            freed.wait(0.01)

    @app.task(name="deaf")
    def deaf(ctx: Context) -> None:
        ctx.progress(1)
        freed.wait()

    worker = Worker(app, WorkerSettings(grace=timedelta(0)))
    running = asyncio.ensure_future(worker.run())
    try:
        kind, unkind = await polite.enqueue(), await deaf.enqueue()
        await facts.first(TaskProgressed, lambda event: event.task_id == kind.id)
        await facts.first(TaskProgressed, lambda event: event.task_id == unkind.id)
        worker.drain("deploy")
        await running
        assert (await record(engine, kind.id)).state is State.PENDING
        assert (await record(engine, unkind.id)).state is State.RUNNING
    finally:
        freed.set()


async def test_a_drain_from_another_thread_is_heard(app: Tidemill, facts: Facts) -> None:
    worker = Worker(app)
    running = asyncio.ensure_future(worker.run())
    await facts.first(WorkerStarted)
    await asyncio.to_thread(worker.drain, "from afar")
    async with asyncio.timeout(PATIENCE):
        await running
    assert facts.of(WorkerDraining)[0].reason == "from afar"


async def test_a_cancelled_worker_hands_back_what_it_holds(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    async def slow() -> None:
        await asyncio.Event().wait()

    running = asyncio.ensure_future(Worker(app).run())
    handle = await slow.enqueue()
    await facts.first(TaskStarted)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert (await record(engine, handle.id)).state is State.PENDING


async def test_a_worker_is_recycled_after_exactly_so_many_tasks(
    app: Tidemill, facts: Facts
) -> None:
    @app.task
    async def quick() -> None: ...

    await quick.enqueue_many([{}] * 10)
    worker = Worker(app, WorkerSettings(max_tasks=7))
    async with asyncio.timeout(PATIENCE):
        await worker.run()
    assert worker.recycle
    assert len(facts.of(TaskCompleted)) == 7


async def test_a_worker_is_recycled_at_its_memory_limit(app: Tidemill, facts: Facts) -> None:
    worker = Worker(app, WorkerSettings(max_memory_mib=1))
    async with asyncio.timeout(PATIENCE):
        await worker.run()
    assert worker.recycle
    assert "MiB" in facts.of(WorkerDraining)[0].reason


async def test_two_workers_share_the_work(app: Tidemill, facts: Facts) -> None:
    both = asyncio.Barrier(2)

    @app.task
    async def meets() -> None:
        await both.wait()

    await meets.enqueue_many([{}] * 2)
    async with working(app, concurrency=1), working(app, concurrency=1):
        await facts.first(TaskCompleted)
        await facts.first(TaskCompleted, lambda event: event is not facts.of(TaskCompleted)[0])
    assert len({event.worker for event in facts.of(TaskCompleted)}) == 2
