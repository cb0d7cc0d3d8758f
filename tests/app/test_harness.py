"""The harness that users test their tasks with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tidemill import (
    Cancel,
    Context,
    Event,
    Permanent,
    RetryPolicy,
    Snooze,
    State,
    TaskCompleted,
    TaskFailedError,
    TaskProgressed,
    TaskStarted,
    Tidemill,
    Unique,
    fixed,
)
from tidemill.testing.harness import Harness

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def app() -> Tidemill:
    return Tidemill("memory://")


async def test_draining_runs_what_is_due_and_leaves_what_is_not(app: Tidemill) -> None:
    @app.task
    async def double(number: int) -> int:
        return number * 2

    async with Harness(app) as harness:
        now, later = await double.enqueue(1), await double.options(delay=3600).enqueue(2)
        await harness.drain()
        assert await now.result() == 2
        assert await later.state() is State.SCHEDULED
        await harness.advance(hours=1)
        assert await later.state() is State.PENDING
        await harness.drain()
        assert await later.result() == 4


async def test_tasks_run_one_by_one_in_claim_order(app: Tidemill) -> None:
    seen: list[tuple[str, int]] = []

    @app.task
    async def on_the_loop(number: int) -> None:
        seen.append(("begin", number))
        await asyncio.sleep(0)
        seen.append(("end", number))

    @app.task
    def on_a_thread(number: int) -> None:
        seen.append(("begin", number))
        seen.append(("end", number))

    async with Harness(app) as harness:
        await on_a_thread.enqueue(2)
        await on_the_loop.enqueue(3)
        await on_the_loop.options(priority=9).enqueue(1)
        await harness.drain()
    assert seen == [(what, number) for number in (1, 2, 3) for what in ("begin", "end")]


async def test_retries_run_when_they_are_due(app: Tidemill) -> None:
    at: list[timedelta] = []

    async with Harness(app) as harness:
        start = harness.now()

        @app.task(retry=RetryPolicy(3, fixed(60)))
        async def flaky() -> str:
            at.append(harness.now() - start)
            if len(at) < 3:
                raise ConnectionError("not yet")
            return "done"

        handle = await flaky.enqueue()
        await harness.run_for(MINUTE)
        assert at == [timedelta(0), MINUTE]
        assert await handle.state() is State.SCHEDULED
        await harness.run_for(hours=1)
        assert at == [timedelta(0), MINUTE, 2 * MINUTE]
        assert await handle.result() == "done"
        assert harness.now() - start == HOUR + MINUTE
        assert len((await handle.get()).attempts) == 3


async def test_failures_and_values_end_tasks_as_in_a_worker(app: Tidemill) -> None:
    @app.task
    async def work(how: str) -> str | Snooze | Cancel:
        match how:
            case "permanent":
                raise Permanent("no use")
            case "cancel":
                return Cancel("not needed")
            case "snooze":
                return Snooze(MINUTE)
            case _:
                return how

    async with Harness(app) as harness:
        handles = {
            how: await work.enqueue(how) for how in ("permanent", "cancel", "snooze", "plain")
        }
        await harness.drain()
        states = {how: await handle.state() for how, handle in handles.items()}
        assert states == {
            "permanent": State.FAILED,
            "cancel": State.CANCELLED,
            "snooze": State.SCHEDULED,
            "plain": State.COMPLETED,
        }
        with pytest.raises(TaskFailedError, match="no use"):
            await handles["permanent"].result()


async def test_children_resources_middleware_and_logs_are_real(app: Tidemill) -> None:
    opened: list[str] = []

    @app.resource
    async def factor() -> AsyncIterator[int]:
        opened.append("open")
        yield 10
        opened.append("closed")

    async def seen(ctx: Context, call_next: Callable[[], Awaitable[Any]]) -> Any:
        opened.append(ctx.task_type)
        return await call_next()

    app.middleware = (seen,)

    @app.task(name="child")
    def child(ctx: Context, number: int) -> int:
        return number * ctx.use(factor)

    @app.task(name="parent")
    async def parent(ctx: Context) -> int:
        numbers = await ctx.gather(child.call(1), child.call(2))
        ctx.enqueue(child.call(9))
        ctx.logger.info("adding %d numbers", len(numbers))
        return sum(numbers)

    async with Harness(app) as harness:
        handle = await parent.enqueue()
        await harness.drain()
        assert await handle.result() == 30
        assert [line.message for line in (await handle.get()).logs] == ["adding 2 numbers"]
        children = await harness.tasks(task_type="child")
        assert len(children) == 3, "what is enqueued before waiting comes to exist once"
        assert {task.parent_id for task in children} == {handle.id}
    assert opened == ["open", "parent", "child", "child", "parent", "child", "closed"]


async def test_inline_a_task_has_run_when_enqueueing_returns(app: Tidemill) -> None:
    @app.task
    async def double(number: int) -> int:
        return number * 2

    @app.task
    async def outer() -> str:
        return (await double.enqueue(1)).id

    async with Harness(app, inline=True) as harness:
        assert await (await double.enqueue(1)).state() is State.COMPLETED
        handle = await asyncio.to_thread(double.delay, 2)
        assert await app.handle(handle.id).result() == 4
        inner = await (await outer.enqueue()).result()
        assert await app.handle(inner).result() == 2
        assert len(await harness.tasks(state=State.COMPLETED)) == 4


async def test_what_runs_is_cancelled_when_somebody_asks(app: Tidemill) -> None:
    begun = asyncio.Event()

    @app.task
    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with Harness(app) as harness:
        handle = await endless.enqueue()
        draining = asyncio.create_task(harness.drain())
        await begun.wait()
        assert await handle.cancel("enough") is State.RUNNING
        await draining
        assert (await handle.get()).reason == "enough"
        assert await handle.state() is State.CANCELLED


async def test_progress_is_seen_while_a_task_runs(app: Tidemill) -> None:
    seen: list[Event] = []
    for kind in (TaskStarted, TaskProgressed, TaskCompleted):
        app.on(kind)(seen.append)
    done = asyncio.Event()
    app.on(TaskProgressed)(lambda _: done.set())

    @app.task
    async def work(ctx: Context) -> None:
        await ctx.progress(40, "halfway, nearly")
        await done.wait()

    async with Harness(app) as harness:
        handle = await work.enqueue()
        await harness.drain()
        progress = await handle.progress()
    assert progress is not None
    assert progress.percent == 40
    assert [type(event) for event in seen] == [TaskStarted, TaskProgressed, TaskCompleted]


async def test_tasks_that_wait_for_each_other_need_more_than_one_slot(app: Tidemill) -> None:
    @app.task
    async def inner() -> int:
        return 1

    @app.task
    async def outer() -> int:
        return await (await inner.enqueue()).result()

    async with Harness(app, concurrency=2) as harness:
        handle = await outer.enqueue()
        await harness.drain()
        assert await handle.result() == 1


async def test_a_drain_that_never_ends_says_so(app: Tidemill) -> None:
    @app.task
    async def again() -> Snooze:
        return Snooze(timedelta(0))

    async with Harness(app) as harness:
        await again.enqueue()
        with pytest.raises(RuntimeError, match="1 tasks ran, one of them 501 times"):
            await harness.drain()


async def test_a_task_cannot_drain_the_harness_that_runs_it(app: Tidemill) -> None:
    async with Harness(app) as harness:

        @app.task(max_attempts=1)
        async def work() -> None:
            await harness.drain()

        handle = await work.enqueue()
        await harness.drain()
        with pytest.raises(TaskFailedError, match="a task cannot drain its own harness"):
            await handle.result()


async def test_expiry_and_unique_keys_follow_the_harness_clock(app: Tidemill) -> None:
    @app.task(expires=60, unique=Unique("k", until=HOUR))
    async def work() -> None: ...

    async with Harness(app) as harness:
        first = await work.options(delay=30).enqueue()
        assert (await work.enqueue()).id == first.id
        await harness.advance(minutes=2)
        await harness.drain()
        assert (await first.get()).reason == "expired"
        await harness.advance(hours=1)
        assert not (await work.enqueue()).duplicate


async def test_a_task_cut_off_in_the_middle_does_not_outlive_the_harness(app: Tidemill) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @app.task
    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Harness(app) as harness:
        await endless.enqueue()
        draining = asyncio.create_task(harness.drain())
        await begun.wait()
        draining.cancel()
    assert ended.is_set()


async def test_afterwards_the_application_works_on_its_own_engine_again(app: Tidemill) -> None:
    @app.task
    async def work() -> None: ...

    async with Harness(app):
        await work.enqueue()
    handle = await work.enqueue()
    assert await handle.state() is State.PENDING


async def test_on_sqlite_a_transaction_commits_with_its_task(app: Tidemill, tmp_path: Path) -> None:
    @app.task
    async def book(ctx: Context, amount: int) -> None:
        transaction = await ctx.transaction()
        await transaction.execute("create table if not exists book (amount int)")
        await transaction.execute("insert into book values (?)", (amount,))
        if amount < 0:
            raise Permanent("not negative")

    async with Harness(app, url=f"sqlite:///{tmp_path / 'tasks.db'}") as harness:
        good, bad = await book.enqueue(5), await book.enqueue(-5)
        await harness.drain()
        assert (await good.state(), await bad.state()) == (State.COMPLETED, State.FAILED)
        engine = await app.engine()
        async with engine.transaction() as transaction:
            assert await transaction.execute("select amount from book") == [(5,)]
