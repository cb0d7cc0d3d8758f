"""What a function returns or raises, and what becomes of its task."""

import asyncio
from datetime import timedelta

from tests.worker.facts import Facts, final, record, until, working
from tidemill import (
    Cancel,
    Context,
    Permanent,
    Retry,
    RetryPolicy,
    Snooze,
    TaskCompleted,
    TaskFailed,
    TaskProgressed,
    TaskRetried,
    TaskSnoozed,
    Tidemill,
    exponential,
    fixed,
)
from tidemill.engine import Engine, TaskQuery
from tidemill.ids import IdMaker
from tidemill.task import NewTask, State

SECOND = timedelta(seconds=1)


async def test_an_async_function_returns_its_result(app: Tidemill) -> None:
    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    async with working(app):
        handle = await add.enqueue(1, 2)
        assert await handle.result(20) == 3


async def test_an_ordinary_function_returns_its_result(app: Tidemill) -> None:
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    async with working(app):
        handle = await add.enqueue(1, 2)
        assert await handle.result(20) == 3


async def test_a_result_is_not_kept_where_the_task_type_says_so(
    app: Tidemill, engine: Engine
) -> None:
    @app.task(keep_result=False)
    async def add() -> int:
        return 3

    async with working(app):
        handle = await add.enqueue()
        task = await final(engine, handle.id)
    assert (task.state, task.result) == (State.COMPLETED, None)


async def test_a_function_that_raises_is_retried_by_its_policy(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task(retry=RetryPolicy(3, fixed(7)))
    async def broken() -> None:
        raise ValueError("it broke")

    async with working(app):
        handle = await broken.enqueue()
        event = await facts.first(TaskRetried)
        task = await record(engine, handle.id)
    assert event.delay == 7 * SECOND
    assert task.state is State.SCHEDULED
    assert task.run_at - task.enqueued_at >= 7 * SECOND
    assert [attempt.outcome for attempt in task.attempts] == ["retried"]


async def test_an_error_is_kept_as_text_without_the_workers_own_frames(
    app: Tidemill, engine: Engine
) -> None:
    @app.task(max_attempts=1)
    async def broken() -> None:
        secret = "not to be kept"  # noqa: F841  # local values must not be in the record
        raise ValueError("it broke")

    async with working(app):
        handle = await broken.enqueue()
        task = await final(engine, handle.id)
    error = task.error
    assert error is not None
    assert (error.type, error.message) == ("builtins.ValueError", "it broke")
    assert "in broken" in error.traceback
    assert "tidemill/worker" not in error.traceback
    assert len(error.fingerprint) == 16


async def test_a_permanent_error_fails_at_once(app: Tidemill, engine: Engine) -> None:
    @app.task(max_attempts=5)
    async def broken() -> None:
        raise Permanent("there is no such page", code="gone")

    async with working(app):
        handle = await broken.enqueue()
        task = await final(engine, handle.id)
    assert (task.state, task.attempt) == (State.FAILED, 1)
    assert task.error is not None
    assert task.error.message == "gone: there is no such page"


async def test_retry_chooses_its_own_delay_and_counts(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task(retry=RetryPolicy(3, exponential(1)))
    def busy() -> None:
        raise Retry(after=90, reason="come back")

    async with working(app):
        handle = await busy.enqueue()
        event = await facts.first(TaskRetried)
        task = await record(engine, handle.id)
    assert event.delay == 90 * SECOND
    assert task.attempt == 1


async def test_a_snoozed_task_does_not_use_up_an_attempt(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    async def later() -> int | Snooze:
        return Snooze(60 * SECOND, "not yet")

    async with working(app):
        handle = await later.enqueue()
        await facts.first(TaskSnoozed)
        task = await record(engine, handle.id)
    assert (task.state, task.attempt, task.reason) == (State.SCHEDULED, 0, "not yet")


async def test_a_task_can_cancel_itself(app: Tidemill, engine: Engine) -> None:
    @app.task
    async def unneeded() -> int | Cancel:
        return Cancel("nothing to do")

    async with working(app):
        handle = await unneeded.enqueue()
        task = await final(engine, handle.id)
    assert (task.state, task.reason) == (State.CANCELLED, "nothing to do")


async def test_a_result_that_does_not_fit_its_annotation_fails_the_task(
    app: Tidemill, engine: Engine
) -> None:
    @app.task
    async def wrong() -> int:
        return "no number"  # type: ignore[return-value]  # what the test is about

    async with working(app):
        handle = await wrong.enqueue()
        task = await final(engine, handle.id)
    assert task.state is State.FAILED
    assert task.error is not None
    assert task.error.type == "tidemill.errors.ResultInvalid"


async def test_an_undecodable_payload_fails_and_stays_with_the_task(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    async def add(a: int) -> int:
        return a

    bad = NewTask(id=IdMaker().make(), task_type=add.name, payload=b"\xff no envelope")
    unfit = NewTask(id=IdMaker().make(), task_type=add.name, payload=b'\x01J\x00{"a":"one"}')
    async with working(app):
        await engine.enqueue([bad, unfit])
        broken, wrong = await final(engine, bad.id), await final(engine, unfit.id)
    assert (broken.state, broken.attempt, broken.payload) == (State.FAILED, 1, bad.payload)
    assert broken.error is not None
    assert broken.error.type == "tidemill.errors.PayloadUndecodable"
    assert wrong.error is not None
    assert "at a" in wrong.error.message
    assert len(facts.of(TaskFailed)) == 2


async def test_children_of_a_failed_attempt_are_not_enqueued(app: Tidemill, engine: Engine) -> None:
    @app.task
    async def child(n: int) -> int:
        return n

    @app.task(max_attempts=1)
    async def parent(ctx: Context, *, fail: bool) -> str:
        made = ctx.enqueue(child.call(1))
        if fail:
            raise ValueError(made)
        return made

    async with working(app):
        good, bad = await parent.enqueue(fail=False), await parent.enqueue(fail=True)
        made = await good.result(20)
        failed = await final(engine, bad.id)
        assert (await final(engine, made)).state is State.COMPLETED
    assert failed.error is not None
    assert not (await engine.find(TaskQuery(ids=(failed.error.message,)))).tasks


async def test_gather_waits_for_children_without_a_slot(app: Tidemill) -> None:
    @app.task
    async def square(n: int) -> int:
        return n * n

    @app.task
    async def total(ctx: Context, n: int) -> int:
        squares = await ctx.gather(*(square.call(each) for each in range(n)))
        return sum(each or 0 for each in squares)

    async with working(app, concurrency=1):
        handle = await total.enqueue(4)
        assert await handle.result(20) == 14


async def test_an_ordinary_function_gathers_through_block_on(app: Tidemill) -> None:
    @app.task
    def square(n: int) -> int:
        return n * n

    @app.task
    def total(ctx: Context, n: int) -> int:
        squares = ctx.block_on(ctx.gather(*(square.call(each) for each in range(n))))
        return sum(each or 0 for each in squares)

    async with working(app, threads=1):
        handle = await total.enqueue(4)
        assert await handle.result(20) == 14


async def test_progress_and_logs_reach_the_engine_with_the_result(
    app: Tidemill, engine: Engine
) -> None:
    @app.task(steps={"read": 1, "write": 3})
    async def work(ctx: Context) -> None:
        await ctx.step("read", 1, 1)
        ctx.logger.info("%d read", 5)
        await ctx.step("write", 1, 2, "half")

    async with working(app):
        handle = await work.enqueue()
        task = await final(engine, handle.id)
    assert task.progress is not None
    assert (task.progress.percent, task.progress.message) == (62.5, "half")
    assert [line.message for line in task.logs] == ["5 read"]


async def test_progress_does_not_wait_for_a_heartbeat(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    go = asyncio.Event()

    @app.task
    async def work(ctx: Context) -> None:
        for percent in range(100):
            await ctx.progress(percent)
        await go.wait()

    async with working(app, heartbeat=timedelta(hours=1), lease=timedelta(hours=2)):
        handle = await work.enqueue()
        event = await facts.first(TaskProgressed, lambda event: event.progress.percent == 99)
        assert (await record(engine, handle.id)).progress == event.progress
        go.set()


async def test_types_that_the_worker_does_not_know_are_left_alone(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.task
    async def known() -> None: ...

    foreign = NewTask(id=IdMaker().make(), task_type="elsewhere", payload=b"{}")
    await engine.enqueue([foreign])
    async with working(app):
        await known.enqueue()
        await facts.first(TaskCompleted)
    task = await until(engine, foreign.id, State.PENDING)
    assert task.attempt == 0
