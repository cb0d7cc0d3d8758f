"""Workflows run by a worker: results as inputs, joins, failures, cancel, retry, progress."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.engines.makers import ENGINES, SPREAD, Servers
from tests.worker import sample
from tests.worker.facts import PATIENCE, Facts, begun, record, until, working
from tidemill import (
    Context,
    InvalidTransition,
    NotFound,
    State,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFound,
    TaskStarted,
    Tidemill,
    WorkflowHandle,
)
from tidemill.clock import SystemClock
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import EngineUnavailable
from tidemill.inputs import INPUTS
from tidemill.outcome import Snoozed, Waiting
from tidemill.task import After, Claim, ClaimRef, NewTask, Task
from tidemill.testing import numbered_id
from tidemill.worker.attempt import attempt
from tidemill.worker.ports import found
from tidemill.worker.verdict import Verdict

QUICK = {"lease": timedelta(seconds=2), "heartbeat": timedelta(seconds=0.1)}
COMPLETED, FAILED, CANCELLED = State.COMPLETED, State.FAILED, State.CANCELLED


Opened = Callable[[], AbstractAsyncContextManager[Tidemill]]


@pytest.fixture(params=["memory", "sqlite", "valkey", "cluster"])
def opened(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Opened]:
    """Opens an application with some task types on each kind of engine."""
    with (ENGINES | SPREAD)[request.param].stores(servers) as make:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Tidemill]:
            engine = make(SystemClock())
            app = Tidemill("memory://")
            app.use_engine(engine)
            _declare(app)
            try:
                yield app
            finally:
                await app.close()
                await engine.close()

        yield opened


def _declare(app: Tidemill) -> None:
    @app.task(name="one")
    async def one(n: int) -> int:
        return n

    @app.task(name="double")
    def double(n: int) -> int:
        return 2 * n

    @app.task(name="total")
    async def total(numbers: list[int | None]) -> list[int | None]:
        return numbers

    @app.task(name="broken", max_attempts=1)
    async def broken() -> int:
        raise ValueError("it broke")

    @app.task(name="report")
    async def report(ctx: Context, body: int | None, parts: dict[str, Any], title: str) -> str:
        return f"{title}: {body} {parts}"

    @app.task(name="slow")
    async def slow(ctx: Context) -> None:
        await ctx.progress(1, "begun")
        await asyncio.Event().wait()


def call(app: Tidemill, name: str, **arguments: Any) -> Any:
    return app.function(name).call(**arguments)


def partial(app: Tidemill, name: str, **some: Any) -> Any:
    return app.function(name).partial(**some)


async def states(handle: WorkflowHandle[Any]) -> list[State]:
    return [step.state for step in await handle.steps()]


# results as inputs


async def test_a_chain_hands_results_on(opened: Opened) -> None:
    async with opened() as app, working(app):
        flow = app.chain(call(app, "one", n=3), partial(app, "double"), partial(app, "double"))
        handle = await flow.enqueue()
        assert await handle.result(PATIENCE) == 12
        status = await handle.status()
        assert (status.name, status.state, status.percent) == ("chain", COMPLETED, 100)
        assert (status.total, status.counts, status.breakers) == (3, {COMPLETED: 3}, ())


async def test_the_result_of_a_group_is_that_of_all_calls_in_their_order(opened: Opened) -> None:
    async with opened() as app, working(app):
        handle = await app.group(*(call(app, "double", n=n) for n in range(20))).enqueue()
        assert await handle.result(PATIENCE) == [2 * n for n in range(20)]


async def test_a_chord_runs_its_callback_once_with_all_results_in_order(opened: Opened) -> None:
    async with opened() as app:
        facts = Facts(app)
        async with working(app, concurrency=10):
            calls = [call(app, "one", n=n) for n in range(300)]
            handle = await app.chord(calls, partial(app, "total")).enqueue()
            assert await handle.result(PATIENCE) == list(range(300))
        started = [event for event in facts.of(TaskStarted) if event.task_type == "total"]
        assert [event.attempt for event in started] == [1]


async def test_results_go_to_wherever_they_stand_in_the_arguments(opened: Opened) -> None:
    async with opened() as app:
        flow = app.workflow("publish")
        one, two = (flow.add(call(app, "one", n=n)) for n in (1, 2))
        parts = {"first": one.result, "more": [two.result, {"deep": (one.result, 5)}]}
        flow.add(call(app, "report", body=two.result, parts=parts, title="t"))
        async with working(app):
            handle = await flow.enqueue()
            assert await handle.result(PATIENCE) == (
                "t: 2 {'first': 1, 'more': [2, {'deep': [1, 5]}]}"
            )


async def test_each_step_starts_after_those_that_it_comes_after(opened: Opened) -> None:
    async with opened() as app:
        facts = Facts(app)
        flow = app.workflow("grid")
        rows: list[list[Any]] = [[flow.add(call(app, "one", n=n)) for n in range(10)]]
        for _ in range(9):
            pairs = zip(rows[-1], [*rows[-1][1:], rows[-1][0]], strict=True)
            rows.append([flow.add(call(app, "one", n=a.result), after=[b]) for a, b in pairs])
        async with working(app, concurrency=10):
            handle = await flow.enqueue()
            assert await handle.result(PATIENCE) == list(range(10))
        place = {event.task_id: at for at, event in enumerate(facts.of(TaskStarted))}
        steps = await handle.steps()
        assert len(steps) == len(place) == 100
        for step in steps:
            assert all(place[each] < place[step.id] for each in (step.after or After(())).tasks)


async def test_a_workflow_that_a_task_enqueues_runs_with_its_completion(opened: Opened) -> None:
    async with opened() as app:

        @app.task(name="begin")
        async def begin(ctx: Context) -> str:
            return ctx.enqueue(app.chain(call(app, "one", n=4), partial(app, "double")))

        async with working(app):
            begun_by = await app.function("begin").enqueue()
            handle = app.workflow_handle(await begun_by.result(PATIENCE))
            assert await handle.result(PATIENCE) == 8
        assert (await handle.get()).parent_id == begun_by.id


async def test_a_result_that_does_not_fit_fails_its_step_for_good_and_names_the_field(
    opened: Opened,
) -> None:
    async with opened() as app:

        @app.task(name="texts")
        async def texts() -> Any:
            return ["a", "b"]

        async with working(app):
            flow = app.chain(call(app, "texts"), partial(app, "total"))
            handle = await flow.enqueue()
            with pytest.raises(
                TaskFailedError, match=r"total is not valid at numbers\[0\]: expected"
            ):
                await handle.result(PATIENCE)
        assert (await handle.steps())[1].attempt == 1


# failures


@pytest.mark.parametrize(
    ("rule", "whole", "after_it", "error"),
    [
        ("fail", FAILED, FAILED, "UpstreamFailed"),
        ("skip", CANCELLED, CANCELLED, None),
        ("continue", COMPLETED, COMPLETED, None),
    ],
)
async def test_what_becomes_of_steps_after_one_that_failed(
    opened: Opened, rule: Any, whole: State, after_it: State, error: str | None
) -> None:
    async with opened() as app:
        calls = [call(app, "one", n=1), call(app, "broken"), call(app, "one", n=3)]
        async with working(app):
            handle = await app.chord(calls, partial(app, "total"), on_failure=rule).enqueue()
            status = await handle.wait(PATIENCE)
            *_, last = await handle.steps()
            assert (status.state, last.state) == (whole, after_it)
            assert (last.error.type if last.error else None) == error
            assert [step.task_type for step in status.breakers] == ["broken"]
            if rule == "continue":
                assert await handle.result() == [1, None, 3]
            else:
                [broken] = status.breakers
                with pytest.raises(TaskFailedError, match="it broke") as failed:
                    await handle.result()
                assert failed.value.task_id == broken.id


async def test_under_continue_a_last_step_that_failed_leaves_its_place_empty(
    opened: Opened,
) -> None:
    async with opened() as app, working(app):
        flow = app.group(call(app, "broken"), call(app, "one", n=2), on_failure="continue")
        assert await (await flow.enqueue()).result(PATIENCE) == [None, 2]


async def test_a_step_with_a_rule_of_its_own_runs_after_a_failure(opened: Opened) -> None:
    async with opened() as app:
        flow = app.workflow("w")
        bad = flow.add(call(app, "broken"))
        flow.add(call(app, "total", numbers=[bad.result]), on_failure="continue")
        flow.add(call(app, "one", n=1), after=[bad])
        async with working(app):
            handle = await flow.enqueue()
            assert (await handle.wait(PATIENCE)).state is FAILED
        assert await states(handle) == [FAILED, COMPLETED, FAILED]
        assert (await app.handle((await handle.steps())[1].id).result()) == [None]


async def test_a_result_that_was_pruned_fails_its_step_for_good(opened: Opened) -> None:
    async with opened() as app:
        engine = await app.engine()
        await engine.pause("paused", paused=True)
        later = app.function("double").options(queue="paused")
        flow = app.chain(call(app, "one", n=1), later.partial())
        first, second, _ = flow.new_tasks()
        await flow.enqueue()
        async with working(app):
            await until(engine, second.id, State.PENDING)
            assert await engine.remove([first.id]) == [True]
            await engine.pause("paused", paused=False)
            task = await until(engine, second.id, FAILED)
        assert task.attempt == 1
        assert task.error is not None
        assert f"the result of task {first.id}, which this one takes, is gone" in task.error.message


# operations


async def test_cancelling_the_whole_ends_what_waits_and_stops_what_runs(opened: Opened) -> None:
    async with opened() as app:
        flow = app.workflow("w", on_failure="continue")
        first = flow.add(call(app, "one", n=1))
        slow = flow.add(call(app, "slow"), after=[first])
        flow.add(call(app, "one", n=2), after=[slow])
        engine = await app.engine()
        async with working(app, **QUICK):
            handle = await flow.enqueue()
            await begun(engine, slow.id)
            assert await handle.cancel("enough") is CANCELLED
            assert await handle.cancel("again") is CANCELLED
            await until(engine, slow.id, CANCELLED)
        assert await states(handle) == [COMPLETED, CANCELLED, CANCELLED]
        reasons = {step.reason for step in (await handle.steps())[1:]}
        assert reasons == {"enough"}
        with pytest.raises(TaskCancelledError, match="enough"):
            await handle.result()
        assert len((await handle.status()).breakers) == 2, "neither ended because of the other"


async def test_a_cancelled_workflow_starts_nothing_more_even_under_continue(opened: Opened) -> None:
    async with opened() as app:
        calls = [call(app, "one", n=n) for n in range(5)]
        handle = await app.chain(*calls, on_failure="continue").enqueue()
        assert await handle.cancel() is CANCELLED
        assert await states(handle) == [CANCELLED] * 5
        page = await (await app.engine()).feed("", 1000, timedelta(0))
        assert {entry.cause for entry in page.entries} == {"enqueued", "cancelled"}


async def test_cancelling_the_task_of_the_whole_leaves_the_steps_alone(opened: Opened) -> None:
    async with opened() as app:
        handle = await app.chain(call(app, "one", n=1), call(app, "one", n=2)).enqueue()
        await app.handle(handle.id).cancel()
        assert (await handle.status()).state is CANCELLED
        assert await states(handle) == [State.PENDING, State.BLOCKED]


async def test_a_final_workflow_stays_as_it_is_when_it_is_cancelled(opened: Opened) -> None:
    async with opened() as app, working(app):
        handle = await app.chain(call(app, "one", n=1)).enqueue()
        await handle.wait(PATIENCE)
        assert await handle.cancel() is COMPLETED
        assert await handle.result() == 1


async def test_a_retry_runs_what_failed_and_completes_the_whole(opened: Opened) -> None:
    async with opened() as app:
        broken = itertools.count(1)

        @app.task(name="once", max_attempts=1)
        async def once(n: int) -> int:
            if next(broken) == 1:
                raise ValueError("the first time")
            return n

        flow = app.workflow("w")
        first = flow.add(call(app, "one", n=1))
        middle = flow.add(call(app, "once", n=first.result))
        beside = flow.add(call(app, "one", n=7))
        flow.add(call(app, "total", numbers=[middle.result, beside.result]))
        async with working(app):
            handle = await flow.enqueue()
            assert (await handle.wait(PATIENCE)).state is FAILED
            assert await states(handle) == [COMPLETED, FAILED, COMPLETED, FAILED]
            await handle.retry()
            assert await handle.result(PATIENCE) == [1, 7]
        assert [step.attempt for step in await handle.steps()] == [1, 2, 1, 1]


async def test_a_workflow_over_several_queues_fails_and_completes_when_it_is_retried(
    opened: Opened,
) -> None:
    broken = itertools.count(1)

    async with opened() as app:

        @app.task(name="at_first_broken", max_attempts=1)
        async def at_first_broken(n: int) -> int:
            if next(broken) <= 2:
                raise ValueError("the first times")
            return n

        def there(name: str, queue: str) -> Any:
            return app.function(name).options(queue=queue)

        flow = app.workflow("w")
        first = flow.add(there("one", "q0").call(n=1))
        middle = [
            flow.add(there(name, f"q{n}").call(n=first.result))
            for n, name in enumerate(["one", "at_first_broken", "at_first_broken", "one"])
        ]
        joined = flow.add(there("total", "q4").call(numbers=[step.result for step in middle]))
        flow.add(there("total", "q5").call(numbers=joined.result))
        async with working(app):
            handle = await flow.enqueue()
            status = await handle.wait(PATIENCE)
            assert (status.state, status.counts) == (FAILED, {COMPLETED: 3, FAILED: 4})
            assert {step.id for step in status.breakers} == {middle[1].id, middle[2].id}
            await handle.retry()
            assert await handle.result(PATIENCE) == [1, 1, 1, 1]
        assert [step.attempt for step in await handle.steps()] == [1, 1, 2, 2, 1, 1, 1]


async def test_a_workflow_that_is_live_or_completed_is_not_retried(opened: Opened) -> None:
    async with opened() as app:
        handle = await app.chain(call(app, "one", n=1)).enqueue()
        with pytest.raises(InvalidTransition, match="it is blocked"):
            await handle.retry()
        async with working(app):
            await handle.wait(PATIENCE)
        with pytest.raises(InvalidTransition, match="it is completed"):
            await handle.retry()


async def test_a_workflow_is_not_retried_while_a_step_is_still_stopping(opened: Opened) -> None:
    async with opened() as app:

        @app.task(name="stubborn")
        async def stubborn(ctx: Context) -> None:
            try:
                await ctx.progress(1, "begun")
                await asyncio.Event().wait()
            finally:
                await may_end.wait()

        may_end = asyncio.Event()
        engine = await app.engine()
        async with working(app, **QUICK):
            handle = await app.chain(call(app, "stubborn")).enqueue()
            [step] = await handle.steps()
            await begun(engine, step.id)
            await handle.cancel()
            with pytest.raises(InvalidTransition, match="it is still stopping"):
                await handle.retry()
            may_end.set()
            await until(engine, step.id, CANCELLED)
            await handle.retry()
            assert (await handle.get()).state is State.BLOCKED
            await handle.cancel()
            await until(engine, step.id, CANCELLED)


async def test_progress_is_the_share_of_final_steps_and_never_goes_back(opened: Opened) -> None:
    async with opened() as app:
        gates = [asyncio.Event() for _ in range(4)]

        @app.task(name="gated")
        async def gated(n: int) -> None:
            await gates[n].wait()

        told: list[float] = []
        async with working(app):
            handle = await app.group(*(call(app, "gated", n=n) for n in range(4))).enqueue()
            async with asyncio.timeout(PATIENCE):
                async for percent in handle.progress():
                    told.append(percent)
                    if len(told) <= 4:
                        gates[len(told) - 1].set()
        assert told == [0, 25, 50, 75, 100]
        assert [percent async for percent in handle.progress()] == [100]


async def test_a_workflow_is_found_again_by_its_id(opened: Opened) -> None:
    async with opened() as app:
        handle = await app.group(
            call(app, "one", n=1), call(app, "one", n=2), name="mine"
        ).enqueue()
        again = app.workflow_handle(handle.id)
        status = await again.status()
        assert (status.id, status.name, status.state) == (handle.id, "mine", State.BLOCKED)
        assert (status.percent, status.counts) == (0, {State.PENDING: 2})
        steps = await again.steps()
        assert [step.parent_id for step in steps] == [handle.id] * 2


async def test_what_is_no_workflow_is_not_found(opened: Opened) -> None:
    async with opened() as app:
        task = await app.enqueue(call(app, "one", n=1))
        for unknown in (task.id, numbered_id(7)):
            with pytest.raises(NotFound, match=f"there is no workflow {unknown}"):
                await app.workflow_handle(unknown).status()
            with pytest.raises(NotFound, match=f"there is no workflow {unknown}"):
                await app.workflow_handle(unknown).result()
        with pytest.raises(TaskNotFound):
            app.workflow_handle("x")


async def test_ordinary_code_enqueues_and_waits(opened: Opened) -> None:
    async with opened() as app:

        def ordinary() -> Any:
            handle = app.chain(call(app, "one", n=2), partial(app, "double")).delay()
            assert handle.result(PATIENCE) == 4
            assert handle.wait().state is handle.get().state is COMPLETED
            assert [step.state for step in handle.steps()] == [COMPLETED] * 2
            assert handle.status().percent == 100
            assert handle.cancel() is COMPLETED
            with pytest.raises(InvalidTransition):
                handle.retry()

        async with working(app):
            await asyncio.to_thread(ordinary)
        await asyncio.to_thread(app.run_blocking, app.close())


# where steps run


async def test_steps_in_child_processes_take_results_too(engine: Engine) -> None:
    app = sample.app
    app.use_engine(engine)
    try:
        async with working(app, children=1):
            flow = app.chain(
                sample.double.call(2), sample.halved.partial(), sample.double.partial()
            )
            assert await (await flow.enqueue()).result(PATIENCE) == 4
    finally:
        await app.close()
        app.use_engine(None)


class Silent(MemoryEngine):
    """An engine that does not answer the first questions about tasks."""

    def __init__(self, unanswered: int) -> None:
        super().__init__()
        self.unanswered = unanswered

    async def find(self, query: Any) -> Any:
        if query.ids and self.unanswered:
            self.unanswered -= 1
            raise EngineUnavailable("not now")
        return await super().find(query)


async def test_an_engine_that_does_not_answer_costs_a_step_no_attempt() -> None:
    verdict = await _attempt_with_inputs(Silent(1))
    assert isinstance(verdict.outcome, Snoozed)
    assert verdict.outcome.reason == "its inputs could not be read: not now"


async def test_a_step_waits_for_an_upstream_task_that_is_run_again() -> None:
    engine = MemoryEngine()
    verdict = await _attempt_with_inputs(engine)
    assert isinstance(verdict.outcome, Waiting)
    [waited] = verdict.outcome.children
    assert (await record(engine, waited)).state is State.PENDING


@dataclass
class Ports:
    """What a step asks for its inputs, from an engine."""

    engine: Engine

    async def tasks(self, ids: tuple[str, ...]) -> dict[str, Task]:
        return await found(self.engine, ids)


async def _attempt_with_inputs(engine: MemoryEngine) -> Verdict:
    """The verdict of a step whose upstream task is pending, as after a retry by hand."""
    app = Tidemill("memory://")
    app.use_engine(engine)
    _declare(app)
    flow = app.chain(call(app, "one", n=1), partial(app, "double"))
    _, second, _ = flow.new_tasks()
    await flow.enqueue()
    ports: Any = Ports(engine)
    claim = _claim_of(second)
    verdict = await attempt(app.task_types["double"], claim, call=_not_called, ports=lambda: ports)
    await app.close()
    return verdict


def _claim_of(task: NewTask) -> Claim:
    assert INPUTS in task.headers
    return Claim(
        ref=ClaimRef(task.id, 1, numbered_id(2), task.queue),
        task_type=task.task_type,
        queue=task.queue,
        priority=task.priority,
        payload=task.payload,
        attempt=1,
        attempt_limit=4,
        max_attempts=4,
        headers=task.headers,
    )


async def _not_called(function: Any, arguments: Any) -> Any:
    raise AssertionError(f"{function} must not run")


# size


async def test_a_chord_of_ten_thousand_completes(opened: Opened) -> None:
    async with opened() as app, working(app):
        calls = [call(app, "one", n=n) for n in range(10_000)]
        started = time.monotonic()
        handle = await app.chord(calls, partial(app, "total")).enqueue()
        enqueued = time.monotonic()
        assert await handle.result(60) == list(range(10_000))
        ran = time.monotonic() - enqueued
        print(f"enqueued in {enqueued - started:.1f} s, ran in {ran:.1f} s")


async def test_a_thousand_steps_thirty_deep_complete_in_order(opened: Opened) -> None:
    async with opened() as app:
        flow = app.workflow("deep")
        rows = [[flow.add(call(app, "total", numbers=[n])) for n in range(34)]]
        for _ in range(29):
            before = rows[-1]
            rows.append(
                [
                    flow.add(call(app, "one", n=1), after=[before[n], before[(n + 7) % 34]])
                    for n in range(34)
                ]
            )
        async with working(app):
            handle = await flow.enqueue()
            assert (await handle.wait(60)).counts == {COMPLETED: 1020}
        steps = {step.id: step for step in await handle.steps()}
        for step in steps.values():
            for each in (step.after or After(())).tasks:
                ended, started = steps[each].finished_at, step.started_at
                assert ended is not None
                assert started is not None
                assert ended <= started
