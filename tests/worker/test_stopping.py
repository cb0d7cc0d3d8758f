"""Timeouts, cancels and lost leases, on the loop and on threads."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from tests.worker.facts import Facts, final, record, working
from tidemill import (
    Context,
    LeaseLost,
    RetryPolicy,
    RetryRule,
    SoftTimeout,
    TaskCompleted,
    TaskProgressed,
    TaskRetried,
    TaskStarted,
    Tidemill,
    WorkerDraining,
    fixed,
)
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.task import State
from tidemill.worker import Worker, executor

QUICK = timedelta(seconds=0.1)


async def test_a_soft_timeout_is_raised_where_an_async_function_waits(app: Tidemill) -> None:
    @app.task(soft_timeout=0.05)
    async def slow() -> str:
        try:
            await asyncio.Event().wait()
        except SoftTimeout:
            await asyncio.sleep(0)  # it can still wait
            return "saved"
        return "not warned"

    async with working(app):
        assert await (await slow.enqueue()).result(20) == "saved"


async def test_a_soft_timeout_ends_the_tasks_of_a_group(app: Tidemill, engine: Engine) -> None:
    ended = []

    @app.task(soft_timeout=0.05, max_attempts=1)
    async def slow() -> None:
        async def part() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        async with asyncio.TaskGroup() as group:
            group.create_task(part())
            group.create_task(part())

    async with working(app):
        task = await final(engine, (await slow.enqueue()).id)
    assert len(ended) == 2
    assert task.error is not None
    assert task.error.type == "tidemill.errors.SoftTimeout"


async def test_a_soft_timeout_is_raised_inside_a_function_on_a_thread(app: Tidemill) -> None:
    @app.task(soft_timeout=0.05)
    def slow() -> str:
        try:
            while True:
                time.monotonic()
        except SoftTimeout:
            return "saved"

    async with working(app):
        assert await (await slow.enqueue()).result(20) == "saved"


async def test_a_soft_timeout_is_retried_by_the_policy(app: Tidemill, facts: Facts) -> None:
    @app.task(soft_timeout=0.05, retry=RetryPolicy(2, fixed(9)))
    async def slow() -> None:
        await asyncio.Event().wait()

    async with working(app):
        await slow.enqueue()
        event = await facts.first(TaskRetried)
    assert event.error.type == "tidemill.errors.SoftTimeout"
    assert event.delay == timedelta(seconds=9)


async def test_a_hard_timeout_cancels_an_async_function(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    cleaned = []

    @app.task(timeout=0.05, max_attempts=1)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async with working(app):
        task = await final(engine, (await slow.enqueue()).id)
    assert cleaned == [True]
    assert task.error is not None
    assert task.error.type == "HardTimeout"
    assert "0:00:00.05" in task.error.message


async def test_a_hard_timeout_covers_middleware_too(engine: MemoryEngine) -> None:
    async def hangs(ctx: Context, call_next: object) -> None:
        await asyncio.Event().wait()

    app = Tidemill("memory://", middleware=[hangs])
    app.use_engine(engine)

    @app.task(timeout=0.05, max_attempts=1)
    def quick() -> None: ...

    async with working(app):
        task = await final(engine, (await quick.enqueue()).id)
    assert task.error is not None
    assert task.error.type == "HardTimeout"


async def test_the_timeout_of_a_task_wins_over_that_of_its_type(
    app: Tidemill, engine: Engine
) -> None:
    @app.task(timeout=3600, max_attempts=1)
    async def slow() -> None:
        await asyncio.Event().wait()

    async with working(app):
        task = await final(engine, (await slow.options(timeout=0.05).enqueue()).id)
    assert task.state is State.FAILED


async def test_a_hard_timeout_is_a_timeout_error_to_the_retry_policy(
    app: Tidemill, facts: Facts
) -> None:
    rules = RetryPolicy(1, on={TimeoutError: RetryRule(5, fixed(3))})

    @app.task(timeout=0.05, retry=rules)
    async def slow() -> None:
        await asyncio.Event().wait()

    async with working(app):
        await slow.enqueue()
        assert (await facts.first(TaskRetried)).delay == timedelta(seconds=3)


async def test_a_hard_timeout_ends_a_thread_that_runs_python(app: Tidemill, engine: Engine) -> None:
    @app.task(timeout=0.05, max_attempts=1)
    def slow() -> None:
        try:
            while True:
                time.monotonic()
        except Exception:  # noqa: BLE001, S110  # a careless function must not escape
            pass

    async with working(app) as worker:
        task = await final(engine, (await slow.enqueue()).id)
        assert not worker.draining
    assert task.error is not None
    assert task.error.type == "HardTimeout"


@pytest.mark.parametrize("isolation", ["loop", "thread"])
async def test_what_nothing_can_end_is_not_settled_and_recycles_the_process(
    app: Tidemill,
    engine: Engine,
    facts: Facts,
    monkeypatch: pytest.MonkeyPatch,
    isolation: str,
) -> None:
    monkeypatch.setattr(executor, "LAST_MOMENT", 0.05)
    freed = threading.Event()
    let_go = asyncio.Event()

    @app.task(name="deaf", timeout=0.05)
    async def deaf() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    @app.task(name="stuck", timeout=0.05)
    def stuck() -> None:
        freed.wait()

    @app.task
    async def other() -> int:
        return 1

    worker = Worker(app)
    running = asyncio.ensure_future(worker.run())
    try:
        beside = await other.enqueue()
        handle = await (deaf if isolation == "loop" else stuck).enqueue()
        event = await facts.first(WorkerDraining)
        await running
        task = await record(engine, handle.id)
        assert await beside.result(20) == 1
    finally:
        freed.set()
        let_go.set()
    assert "outlived its timeout" in event.reason
    assert worker.recycle
    assert task.state is State.RUNNING


async def test_a_cancelled_async_function_is_interrupted(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    cleaned = []

    @app.task
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    async with working(app, heartbeat=QUICK):
        handle = await slow.enqueue()
        await facts.first(TaskStarted)
        await handle.cancel("not needed")
        task = await final(engine, handle.id)
    assert (task.state, task.reason, cleaned) == (State.CANCELLED, "not needed", [True])


async def test_a_cancelled_function_on_a_thread_is_told_when_it_asks(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    def slow(ctx: Context) -> str:
        ctx.progress(1)
        while not ctx.should_stop:
            threading.Event().wait(0.01)
        return "half done"

    async with working(app, heartbeat=QUICK):
        handle = await slow.enqueue()
        await facts.first(TaskProgressed)
        await handle.cancel("not needed")
        task = await final(engine, handle.id)
    assert (task.state, task.reason, task.result) == (State.CANCELLED, "not needed", None)


async def test_a_function_that_never_asked_completes_in_spite_of_a_cancel(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    asked = threading.Event()

    @app.task
    def slow(ctx: Context) -> str:
        ctx.progress(1)
        asked.wait()
        return "done"

    async with working(app, heartbeat=QUICK):
        handle = await slow.enqueue()
        await facts.first(TaskProgressed)
        await handle.cancel()
        assert (await record(engine, handle.id)).cancel_requested
        asked.set()
        assert await handle.result(20) == "done"


class Thief(MemoryEngine):
    """A memory engine that can take a task from its worker at once."""

    async def take(self, task_id: str) -> None:
        record = self._books.records[task_id]
        record.lease_end = 0
        await self.reclaim(10)


async def test_a_lost_lease_interrupts_the_function_and_settles_nothing(
    app: Tidemill, facts: Facts
) -> None:
    engine = Thief()
    app.use_engine(engine)
    ended = asyncio.Event()

    @app.task
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with working(app, heartbeat=QUICK) as worker:
        handle = await slow.enqueue()
        await facts.first(TaskStarted)
        await engine.pause("default", paused=True)
        await engine.take(handle.id)
        event = await facts.first(LeaseLost)
        await ended.wait()
        task = await record(engine, handle.id)
        assert worker.running == 0
    assert event.task_id == handle.id
    assert (task.state, task.alone) == (State.PENDING, True)


async def test_a_stale_settlement_is_told_and_changes_nothing(app: Tidemill, facts: Facts) -> None:
    engine = Thief()
    app.use_engine(engine)
    go = asyncio.Event()

    @app.task
    async def slow() -> str:
        await go.wait()
        return "too late"

    async with working(app):
        handle = await slow.enqueue()
        await facts.first(TaskStarted)
        await engine.pause("default", paused=True)
        await engine.take(handle.id)
        go.set()
        await facts.first(LeaseLost)
        task = await record(engine, handle.id)
    assert task.state is State.PENDING
    assert facts.of(TaskCompleted) == []


async def test_a_stalled_loop_stops_the_heartbeat_and_a_busy_one_does_not(
    app: Tidemill, facts: Facts
) -> None:
    engine = MemoryEngine()
    app.use_engine(engine)
    lost = asyncio.Event()

    @app.task
    async def blocks(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # the mistake that the test is about

    lease, beat = timedelta(seconds=1), timedelta(seconds=0.05)
    reclaimed = []

    def watch() -> None:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            reclaimed.extend(asyncio.run(engine.reclaim(10)))
            time.sleep(0.02)

    async with working(app, lease=lease, heartbeat=beat, stall=timedelta(minutes=1)):
        busy = await blocks.enqueue(2.2)
        await asyncio.to_thread(watch)
        assert await busy.state() is State.COMPLETED
    assert reclaimed == []
    async with working(app, lease=lease, heartbeat=beat, stall=timedelta(seconds=0.2)):
        stalled = await blocks.enqueue(2.2)
        await asyncio.to_thread(watch)
        await facts.first(LeaseLost)
        lost.set()
    assert [each.task_id for each in reclaimed] == [stalled.id]
