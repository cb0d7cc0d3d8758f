"""An engine that is away, for a call or for a while."""

import asyncio
from datetime import timedelta

import pytest

from tests.worker.facts import Facts, final, working
from tidemill import (
    Context,
    EngineLost,
    EngineRecovered,
    EngineUnavailable,
    LeaseLost,
    TaskCompleted,
    Tidemill,
    WorkerStopped,
)
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.task import State
from tidemill.testing import Fault, FlakyEngine, at_random, scripted


def flaky(app: Tidemill, engine: MemoryEngine, plan: object) -> Engine:
    made = FlakyEngine(engine, plan)  # type: ignore[arg-type]  # any of its plans
    app.use_engine(made)
    return made


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
async def test_a_settlement_is_repeated_until_it_is_answered(
    app: Tidemill, engine: MemoryEngine, facts: Facts, fault: Fault
) -> None:
    flaky(app, engine, scripted(settle=[fault, fault, fault]))

    @app.task
    async def quick() -> int:
        return 1

    async with working(app):
        handle = await quick.enqueue()
        await facts.first(TaskCompleted)
    assert (await final(engine, handle.id)).attempt == 1
    assert [event.doing for event in facts.of(EngineLost)] == ["settle"] * 3
    assert facts.of(EngineRecovered) == [EngineRecovered("settle")]
    assert facts.of(LeaseLost) == []


async def test_a_claim_whose_answer_was_lost_is_repeated_and_loses_no_task(
    app: Tidemill, engine: MemoryEngine, facts: Facts
) -> None:
    flaky(app, engine, scripted(claim=[Fault.AFTER, Fault.AFTER]))

    @app.task
    async def quick() -> int:
        return 1

    handle = await quick.enqueue()
    async with working(app):
        assert await handle.result(20) == 1
    assert (await final(engine, handle.id)).attempt == 1


async def test_all_tasks_complete_once_on_an_engine_that_fails_at_random(
    app: Tidemill, engine: MemoryEngine, facts: Facts
) -> None:
    ran: dict[int, int] = {}

    @app.task
    async def quick(ctx: Context, n: int) -> int:
        ran[n] = ran.get(n, 0) + 1
        await ctx.progress(50)
        return n

    handles = await quick.enqueue_many([{"n": n} for n in range(100)])
    verbs = frozenset({"claim", "settle", "extend", "wait"})
    flaky(app, engine, at_random(7, chance=0.3, verbs=verbs))
    async with working(app, concurrency=10, heartbeat=timedelta(seconds=0.05)):
        tasks = [await final(engine, handle.id) for handle in handles]
    assert {task.state for task in tasks} == {State.COMPLETED}
    assert {task.attempt for task in tasks} == {1}
    assert ran == dict.fromkeys(range(100), 1)


async def test_a_heartbeat_that_failed_is_repeated_with_what_was_reported(
    app: Tidemill, engine: MemoryEngine, facts: Facts
) -> None:
    flaky(app, engine, scripted(extend=[Fault.BEFORE, Fault.BEFORE]))
    go = asyncio.Event()

    @app.task
    async def slow(ctx: Context) -> None:
        ctx.logger.info("first")
        await ctx.progress(10, "here")
        await go.wait()
        ctx.logger.info("second")

    async with working(app, heartbeat=timedelta(seconds=0.05)):
        handle = await slow.enqueue()
        await facts.first(EngineRecovered)
        go.set()
        task = await final(engine, handle.id)
    assert task.progress is not None
    assert task.progress.message == "here"
    assert [line.message for line in task.logs] == ["first", "second"]


async def test_a_worker_can_be_drained_before_its_engine_ever_answered(
    app: Tidemill, facts: Facts
) -> None:
    async def nobody() -> Engine:
        raise EngineUnavailable("nobody is there")

    app.engine = nobody  # type: ignore[method-assign]  # an engine that does not open
    async with working(app) as worker:
        await facts.first(EngineLost)
        worker.drain("enough")
    assert facts.of(WorkerStopped) == []
