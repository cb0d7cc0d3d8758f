"""Functions and suspects in child processes."""

import os
from datetime import timedelta

import pytest

from tests.worker import sample
from tests.worker.facts import Facts, final, record, until, working
from tidemill import Call, TaskProgressed, TaskRetried, Tidemill
from tidemill.engine import ClaimRequest, Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.ids import IdMaker
from tidemill.task import State


@pytest.fixture
def app(engine: MemoryEngine) -> Tidemill:
    sample.app.use_engine(engine)
    return sample.app


async def test_an_isolated_function_runs_in_another_process_that_is_used_again(
    app: Tidemill,
) -> None:
    async with working(app, children=1):
        first = await (await sample.where.enqueue()).result(20)
        second = await (await sample.where.enqueue()).result(20)
    assert first[0] == first[1] != os.getpid()
    assert second == first


async def test_an_async_function_reports_from_its_child(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    async with working(app, children=1):
        handle = await sample.where_async.enqueue()
        assert await handle.result(20) != os.getpid()
        task = await record(engine, handle.id)
    assert task.progress is not None
    assert (task.progress.percent, task.progress.message) == (40, "in the child")
    assert [line.message for line in task.logs] == ["said in the child"]


async def test_a_child_gathers_and_enqueues(app: Tidemill, engine: Engine) -> None:
    async with working(app, children=1):
        assert await (await sample.total.enqueue()).result(20) == 6
        made = await (await sample.followed.enqueue()).result(20)
        task = await final(engine, made)
    assert task.state is State.COMPLETED
    assert task.unique is not None


async def test_a_transaction_is_refused_in_a_child_with_the_reason(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    async with working(app, children=1):
        await sample.in_transaction.enqueue()
        event = await facts.first(TaskRetried)
    assert event.error.type == "tidemill.errors.EngineRefused"
    assert "child process" in event.error.message


async def test_an_error_in_a_child_is_kept_with_its_traceback(
    app: Tidemill, engine: Engine
) -> None:
    async with working(app, children=1):
        task = await final(engine, (await sample.refused.enqueue()).id)
    assert task.error is not None
    assert task.error.message == "not in here"
    assert "in refused" in task.error.traceback


@pytest.mark.parametrize(
    ("call", "how"),
    [(sample.deadly.call(), "SIGKILL"), (sample.leaving.call(), "exit code 7")],
    ids=["killed", "left"],
)
async def test_a_task_that_ends_its_process_three_times_fails_as_poison(
    app: Tidemill, engine: Engine, call: Call[None], how: str
) -> None:
    async with working(app, children=1):
        (handle,) = await app.enqueue_many([call])
        task = await final(engine, handle.id)
    assert (task.state, task.crashes, task.attempt) == (State.FAILED, 3, 3)
    assert task.error is not None
    assert task.error.type == "Poison"
    assert how in task.error.message


async def test_a_memory_limit_fails_the_task_and_not_the_worker(
    app: Tidemill, engine: Engine
) -> None:
    async with working(app, children=1, child_memory_mib=2048):
        task = await final(engine, (await sample.greedy.enqueue()).id)
    assert task.error is not None
    assert task.error.type == "builtins.MemoryError"


async def test_a_cancelled_task_ends_with_its_child(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    async with working(app, children=1, heartbeat=timedelta(seconds=0.1)):
        handle = await sample.endless.enqueue()
        await facts.first(TaskProgressed)
        await handle.cancel("enough")
        task = await final(engine, handle.id)
    assert (task.state, task.reason) == (State.CANCELLED, "enough")


async def test_a_hard_timeout_kills_the_child(app: Tidemill, engine: Engine) -> None:
    async with working(app, children=1):
        handle = await sample.endless.options(timeout=0.3).enqueue()
        task = await final(engine, handle.id)
        assert (await (await sample.where.enqueue()).result(20))[0] != os.getpid()
    assert task.error is not None
    assert task.error.type == "HardTimeout"
    assert task.crashes == 0


async def test_a_soft_timeout_is_raised_inside_the_child(app: Tidemill) -> None:
    async with working(app, children=1):
        assert await (await sample.warned_async.enqueue()).result(20) == "saved"
        assert (await (await sample.warned.enqueue()).result(20)).startswith("saved")


async def test_a_drain_kills_the_child_and_hands_the_task_back(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    async with working(app, children=1):
        handle = await sample.endless.enqueue()
        await facts.first(TaskProgressed)
    task = await record(engine, handle.id)
    assert (task.state, task.attempt, task.alone) == (State.PENDING, 0, False)


async def test_a_task_whose_worker_was_lost_runs_alone_in_a_child(
    app: Tidemill, engine: Engine
) -> None:
    handle = await sample.neighbour.enqueue(0)
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="gone",
        queues=None,
        task_types=frozenset({sample.neighbour.name}),
        limit=1,
        lease=timedelta(0),
    )
    assert await engine.claim(request)
    while not await engine.reclaim(10):
        pass
    async with working(app):
        assert await handle.result(20) != os.getpid()
    task = await until(engine, handle.id, State.COMPLETED)
    assert [attempt.outcome for attempt in task.attempts] == ["lost", "completed"]


async def test_an_application_that_no_module_holds_cannot_run_isolated_functions(
    engine: MemoryEngine,
) -> None:
    app = Tidemill("memory://")
    app.use_engine(engine)

    @app.task(isolation="process", max_attempts=1)
    def alone() -> None: ...

    async with working(app):
        task = await final(engine, (await alone.enqueue()).id)
    assert task.error is not None
    assert "no module holds the application" in task.error.message
