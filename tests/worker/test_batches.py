"""Batch task types in a worker: collected, handled in one call, each settled for itself."""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.engines.makers import ENGINES, Servers
from tests.worker import sample
from tests.worker.facts import Facts, final, record, until, working
from tidemill import (
    Cancel,
    Context,
    Handle,
    LeaseLost,
    Permanent,
    RetryPolicy,
    Snooze,
    SoftTimeout,
    SystemClock,
    TaskCompleted,
    TaskProgressed,
    TaskStarted,
    Tidemill,
    fixed,
)
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import ClaimRequest, Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.ids import IdMaker
from tidemill.inputs import INPUTS, header_of
from tidemill.task import After, NewTask, State, Task
from tidemill.worker import Worker, executor

HOUR = 3600.0
QUICK = {"heartbeat": timedelta(seconds=0.05)}


class Item(msgspec.Struct):
    number: int


def numbers(*given: int) -> list[dict[str, int]]:
    return [{"number": number} for number in given]


async def ends(engine: Engine, handles: Sequence[Handle[Any]]) -> list[Task]:
    return [await final(engine, handle.id) for handle in handles]


async def test_a_full_batch_is_one_call_and_each_item_a_task(app: Tidemill, engine: Engine) -> None:
    calls: list[list[int]] = []

    @app.batch(Item, size=3, within=HOUR)
    async def handle(items: list[Item]) -> list[int]:
        calls.append([item.number for item in items])
        return [item.number * 2 for item in items]

    handles = await handle.enqueue_many(numbers(1, 2, 3, 4, 5, 6))
    async with working(app):
        assert [await each.result(20) for each in handles] == [2, 4, 6, 8, 10, 12]
    assert calls == [[1, 2, 3], [4, 5, 6]]
    tasks = await ends(engine, handles)
    assert {task.attempt for task in tasks} == {1}
    assert len({task.id for task in tasks}) == 6


async def test_what_was_collected_runs_when_the_time_is_over(app: Tidemill, engine: Engine) -> None:
    calls: list[int] = []

    @app.batch(Item, size=100, within=0.05)
    async def handle(items: list[Item]) -> None:
        calls.append(len(items))

    handles = await handle.enqueue_many(numbers(1, 2, 3))
    async with working(app):
        tasks = await ends(engine, handles)
    assert {(task.state, task.result) for task in tasks} == {(State.COMPLETED, None)}
    assert calls == [3]


async def test_an_ordinary_function_handles_its_batches_on_a_thread(app: Tidemill) -> None:
    @app.batch(Item, size=2, within=HOUR)
    def handle(items: list[Item]) -> list[str]:
        return [threading.current_thread().name for _ in items]

    async with working(app):
        handles = await handle.enqueue_many(numbers(1, 2))
        assert [await each.result(20) for each in handles] == ["tidemill-batch-1"] * 2


async def test_each_item_has_an_outcome_of_its_own(app: Tidemill, engine: Engine) -> None:
    @app.batch(Item, size=6, within=HOUR, retry=RetryPolicy(2, fixed(HOUR)))
    async def handle(items: list[Item]) -> list[str | Snooze | Cancel | Exception]:
        return [
            "fine",
            Snooze(timedelta(hours=1), "later"),
            Cancel("not wanted"),
            ValueError("odd"),
            Permanent("never"),
            "fine too",
        ]

    handles = await handle.enqueue_many(numbers(0, 1, 2, 3, 4, 5))
    async with working(app):
        assert await handles[5].result(20) == "fine too"
    tasks = [await record(engine, each.id) for each in handles]
    assert [(task.state, task.attempt) for task in tasks] == [
        (State.COMPLETED, 1),
        (State.SCHEDULED, 0),
        (State.CANCELLED, 1),
        (State.SCHEDULED, 1),
        (State.FAILED, 1),
        (State.COMPLETED, 1),
    ]
    assert [task.reason for task in tasks[1:3]] == ["later", "not wanted"]
    assert [task.error.message for task in tasks[3:5] if task.error] == ["odd", "never"]


async def test_raising_is_of_all_items_each_by_its_own_attempt(
    app: Tidemill, engine: Engine
) -> None:
    @app.batch(Item, size=2, within=HOUR, retry=RetryPolicy(4, fixed(HOUR)))
    async def handle(items: list[Item]) -> None:
        raise ValueError("the table is gone")

    once, often = await handle.options(max_attempts=1).enqueue(1), await handle.enqueue(2)
    async with working(app):
        failed = await final(engine, once.id)
        retried = await until(engine, often.id, State.SCHEDULED)
    assert (failed.state, retried.attempt) == (State.FAILED, 1)
    for task in (failed, retried):
        assert task.error is not None
        assert (task.error.type, task.error.message) == ("builtins.ValueError", "the table is gone")
        assert "in handle" in task.error.traceback


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1], "it handled a batch of 2 and returned 1 values: one for each item"),
        ([1, 2, 3], "it handled a batch of 2 and returned 3 values"),
        ("ab", "it handled a batch of 2 and returned str, neither None nor a list"),
        ({1, 2}, "it handled a batch of 2 and returned set, neither None nor a list"),
    ],
)
async def test_an_answer_that_is_not_for_each_item_fails_all_of_them(
    app: Tidemill, engine: Engine, value: list[int], told: str
) -> None:
    @app.batch(Item, size=2, within=HOUR)
    async def handle(items: list[Item]) -> list[int]:
        return value

    handles = await handle.enqueue_many(numbers(1, 2))
    async with working(app):
        tasks = await ends(engine, handles)
    for task in tasks:
        assert task.state is State.FAILED
        assert task.error is not None
        assert told in task.error.message


async def test_a_result_or_a_payload_that_does_not_fit_fails_its_own_item_only(
    app: Tidemill, engine: Engine
) -> None:
    seen: list[int] = []

    @app.batch(Item, size=3, within=HOUR, name="handle")
    async def handle(items: list[Item]) -> list[int]:
        seen.extend(item.number for item in items)
        wrong: list[int] = ["one"]  # type: ignore[list-item]  # what the worker must notice
        return [*wrong, *(item.number for item in items[1:])]

    first = await handle.enqueue(1)
    wrong = NewTask(
        id=IdMaker().make(), task_type="handle", payload=DEFAULT_CODEC.encode({"number": "x"})
    )
    await engine.enqueue([wrong])
    last = await handle.enqueue(3)
    async with working(app):
        assert await last.result(20) == 3
        odd, bad = await final(engine, first.id), await final(engine, wrong.id)
    assert sorted(seen) == [1, 3]
    assert odd.error is not None
    assert bad.error is not None
    assert odd.error.type == "tidemill.errors.ResultInvalid"
    assert bad.error.type == "tidemill.errors.PayloadInvalid"


async def test_each_item_may_have_its_context(app: Tidemill, engine: Engine, facts: Facts) -> None:
    @app.task
    async def after(number: int) -> int:
        return number

    @app.batch(Item, size=2, within=HOUR)
    async def handle(contexts: list[Context], items: list[Item]) -> list[str | Exception]:
        for ctx, item in zip(contexts, items, strict=True):
            await ctx.progress(50 + item.number, "half")
            ctx.logger.info("item %d", item.number)
        made = contexts[0].enqueue(after.call(7))
        contexts[1].enqueue(after.call(8))
        return [made, ValueError("this one fails, and what it enqueued is not made")]

    first, second = await handle.enqueue_many(numbers(1, 2))
    async with working(app):
        made = await first.result(20)
        assert await app.handle(made).result(20) == 7
    for number, each in enumerate((first, second), 1):
        task = await record(engine, each.id)
        assert task.progress is not None
        assert task.progress.percent == 50 + number
        assert [line.message for line in task.logs] == [f"item {number}"]
    assert [event.task_id for event in facts.of(TaskCompleted)] == [first.id, made]


@pytest.mark.parametrize("what", ["gather", "transaction"])
async def test_what_is_of_one_task_alone_is_refused_in_a_batch(
    app: Tidemill, engine: Engine, what: str
) -> None:
    @app.batch(Item, size=1, within=HOUR)
    async def handle(contexts: list[Context], items: list[Item]) -> None:
        if what == "gather":
            await contexts[0].gather(handle.call(2))
        else:
            await contexts[0].transaction()

    async with working(app):
        task = await final(engine, (await handle.enqueue(1)).id)
    assert task.error is not None
    assert f"ctx.{what}()" in task.error.message
    assert "this call handles a batch of tasks" in task.error.message


async def test_middleware_is_not_around_a_batch(engine: MemoryEngine) -> None:
    seen: list[str] = []

    async def watch(ctx: Context, call_next: object) -> None:
        seen.append(ctx.task_type)

    app = Tidemill("memory://", middleware=[watch])
    app.use_engine(engine)

    @app.batch(Item, size=1, within=HOUR)
    async def handle(items: list[Item]) -> list[int]:
        return [item.number for item in items]

    async with working(app):
        assert await (await handle.enqueue(5)).result(20) == 5
    assert seen == []


@pytest.mark.parametrize("kind", ENGINES)
async def test_every_engine_hands_out_and_settles_batches(kind: str, tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    with ENGINES[kind].stores(servers) as make:
        engine, app = make(SystemClock()), Tidemill("memory://")
        app.use_engine(engine)
        calls: list[int] = []

        @app.batch(Item, size=40, within=HOUR, retry=RetryPolicy(2, fixed(0)))
        async def handle(items: list[Item]) -> list[int | Exception]:
            calls.append(len(items))
            again = len(calls) == 1
            return [
                ValueError("once") if again and each.number % 2 else each.number for each in items
            ]

        async with working(app):
            handles = await handle.enqueue_many(numbers(*range(60)))
            assert [await each.result(20) for each in handles] == list(range(60))
        assert calls == [40, 40], "20 failed in the first and were in the second"
        await app.close()
        await engine.close()
    servers.close()


# at once


async def test_the_next_batch_is_collected_while_one_runs_and_waits_for_it(
    app: Tidemill, facts: Facts
) -> None:
    go, running, most = asyncio.Event(), 0, 0

    @app.batch(Item, size=2, within=0)
    async def handle(items: list[Item]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    handles = await handle.enqueue_many(numbers(1, 2, 3, 4, 5))
    async with working(app) as worker:
        await facts.first(TaskStarted, lambda event: event.task_id == handles[3].id)
        assert worker.running == 4, "two run, two are collected, the fifth stays in the engine"
        go.set()
        for each in handles:
            await each.result(20)
    assert most == 1


async def test_as_many_calls_run_at_once_as_declared(app: Tidemill) -> None:
    met = asyncio.Barrier(3)

    @app.batch(Item, size=1, within=0, concurrency=3)
    async def handle(items: list[Item]) -> None:
        await met.wait()

    async with working(app):
        for each in await handle.enqueue_many(numbers(1, 2, 3)):
            await each.result(20)


async def test_a_batch_takes_no_slot_of_ordinary_tasks(app: Tidemill, facts: Facts) -> None:
    @app.batch(Item, size=10, within=HOUR)
    async def handle(items: list[Item]) -> None: ...

    @app.task
    async def ordinary() -> str:
        return "ran"

    async with working(app, concurrency=1):
        handles = await handle.enqueue_many(numbers(*range(5)))
        await facts.first(TaskStarted, lambda event: event.task_id == handles[4].id)
        assert await (await ordinary.enqueue()).result(20) == "ran"


# made to end


async def test_a_drain_runs_at_once_what_was_collected(app: Tidemill, facts: Facts) -> None:
    @app.batch(Item, size=10, within=HOUR)
    async def handle(items: list[Item]) -> list[int]:
        return [len(items)] * len(items)

    handles = await handle.enqueue_many(numbers(1, 2, 3))
    async with working(app) as worker:
        await facts.first(TaskStarted, lambda event: event.task_id == handles[2].id)
        worker.drain("deploy")
        assert [await each.result(20) for each in handles] == [3, 3, 3]


async def test_after_the_grace_time_a_batch_is_handed_back_with_what_waits_behind_it(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.batch(Item, size=2, within=HOUR)
    async def handle(contexts: list[Context], items: list[Item]) -> None:
        await contexts[0].progress(1)
        await asyncio.Event().wait()

    handles = await handle.enqueue_many(numbers(1, 2, 3))
    async with working(app):
        await facts.first(TaskProgressed)
        await facts.first(TaskStarted, lambda event: event.task_id == handles[2].id)
    tasks = [await record(engine, each.id) for each in handles]
    assert {(task.state, task.attempt) for task in tasks} == {(State.PENDING, 0)}


async def test_an_item_that_is_cancelled_while_it_is_collected_is_left_out(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    seen: list[int] = []

    @app.batch(Item, size=10, within=HOUR)
    async def handle(items: list[Item]) -> None:
        seen.extend(item.number for item in items)

    first, second = await handle.enqueue_many(numbers(1, 2))
    async with working(app, **QUICK) as worker:
        await facts.first(TaskStarted, lambda event: event.task_id == second.id)
        await first.cancel("not wanted")
        assert (await final(engine, first.id)).reason == "not wanted"
        worker.drain("deploy")
        await second.result(20)
    assert seen == [2]
    assert (await record(engine, first.id)).state is State.CANCELLED


async def test_a_batch_that_runs_goes_on_when_one_of_it_is_cancelled(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    go = asyncio.Event()

    @app.batch(Item, size=3, within=HOUR, retry=RetryPolicy(2, fixed(HOUR)))
    async def handle(contexts: list[Context], items: list[Item]) -> list[int | Exception]:
        await contexts[0].progress(1)
        await go.wait()
        return [1, ValueError("would be retried"), 3]

    handles = await handle.enqueue_many(numbers(1, 2, 3))
    async with working(app, **QUICK):
        await facts.first(TaskProgressed)
        for each in handles[:2]:
            await each.cancel("not wanted")
        go.set()
        tasks = await ends(engine, handles)
    assert [task.state for task in tasks] == [State.COMPLETED, State.CANCELLED, State.COMPLETED]


async def test_a_function_that_looks_can_leave_out_a_cancelled_item(
    app: Tidemill, engine: Engine, facts: Facts
) -> None:
    @app.batch(Item, size=2, within=HOUR)
    async def handle(contexts: list[Context], items: list[Item]) -> None:
        await contexts[0].progress(1)
        while not contexts[0].should_stop:
            await contexts[1].progress(1)

    first, second = await handle.enqueue_many(numbers(1, 2))
    async with working(app, **QUICK):
        await facts.first(TaskProgressed)
        await first.cancel("not wanted")
        assert (await final(engine, first.id)).state is State.CANCELLED
        assert (await final(engine, second.id)).state is State.COMPLETED


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_timeout_ends_the_call_and_is_of_all_items(
    app: Tidemill, engine: Engine, place: str
) -> None:
    said = {"size": 2, "within": HOUR, "timeout": 0.05, "max_attempts": 1}
    if place == "loop":

        @app.batch(Item, **said)  # type: ignore[arg-type]  # sizes and times
        async def handle(items: list[Item]) -> None:
            await asyncio.Event().wait()
    else:

        @app.batch(Item, **said)  # type: ignore[arg-type]  # the same
        def handle(items: list[Item]) -> None:
            while True:
                time.monotonic()

    handles = await handle.enqueue_many(numbers(1, 2))
    async with working(app):
        tasks = await ends(engine, handles)
    for task in tasks:
        assert task.error is not None
        assert task.error.type == "HardTimeout"


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_a_soft_timeout_is_raised_once_in_the_call(app: Tidemill, place: str) -> None:
    if place == "loop":

        @app.batch(Item, size=2, within=HOUR, soft_timeout=0.05)
        async def handle(items: list[Item]) -> list[str]:
            try:
                await asyncio.Event().wait()
            except SoftTimeout:
                await asyncio.sleep(0)
            return ["saved"] * len(items)
    else:

        @app.batch(Item, size=2, within=HOUR, soft_timeout=0.05)
        def handle(items: list[Item]) -> list[str]:
            try:
                while True:
                    time.monotonic()
            except SoftTimeout:
                return ["saved"] * len(items)

    async with working(app):
        for each in await handle.enqueue_many(numbers(1, 2)):
            assert await each.result(20) == "saved"


async def test_what_waits_behind_a_call_that_nothing_can_end_is_handed_back(
    app: Tidemill, engine: Engine, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LAST_MOMENT", 0.05)
    freed = threading.Event()

    @app.batch(Item, size=1, within=0, timeout=0.05)
    def stuck(items: list[Item]) -> None:
        freed.wait()

    worker = Worker(app)
    running = asyncio.ensure_future(worker.run())
    try:
        first, second = await stuck.enqueue_many(numbers(1, 2))
        async with asyncio.timeout(20):
            await running
    finally:
        freed.set()
    assert worker.recycle
    assert (await record(engine, first.id)).state is State.RUNNING
    handed_back = await record(engine, second.id)
    assert (handed_back.state, handed_back.attempt) == (State.PENDING, 0)


# lost


async def lose(engine: Engine, task_type: str, count: int) -> None:
    """Let a worker claim tasks and be gone."""
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="gone",
        queues=None,
        task_types=frozenset({task_type}),
        limit=count,
        lease=timedelta(0),
    )
    assert len(await engine.claim(request)) == count
    while not await engine.reclaim(10):
        pass


async def test_items_whose_worker_was_lost_run_each_alone_in_a_child(engine: MemoryEngine) -> None:
    sample.app.use_engine(engine)
    handles = await sample.batched.enqueue_many(numbers(1, 2))
    await lose(engine, sample.batched.name, 2)
    async with working(sample.app):
        for each in handles:
            size, process = await each.result(20)
            assert size == 1
            assert process != os.getpid()


async def test_without_a_child_process_a_lost_item_is_a_batch_of_one(
    app: Tidemill, engine: Engine
) -> None:
    @app.batch(Item, size=3, within=0.05)
    async def handle(items: list[Item]) -> list[int]:
        return [len(items)] * len(items)

    lost = await handle.enqueue(1)
    await lose(engine, handle.name, 1)
    others = await handle.enqueue_many(numbers(2, 3))
    async with working(app):
        assert await lost.result(20) == 1
        assert [await each.result(20) for each in others] == [2, 2]


class Thief(MemoryEngine):
    """A memory engine that can take a task from its worker at once."""

    async def take(self, task_id: str) -> None:
        self._books.records[task_id].lease_end = 0
        await self.reclaim(10)


async def test_an_item_whose_lease_is_lost_while_it_is_collected_is_left_out(
    app: Tidemill, facts: Facts
) -> None:
    engine = Thief()
    app.use_engine(engine)
    seen: list[int] = []

    @app.batch(Item, size=10, within=HOUR)
    async def handle(items: list[Item]) -> None:
        seen.extend(item.number for item in items)

    first, second = await handle.enqueue_many(numbers(1, 2))
    async with working(app, **QUICK) as worker:
        await facts.first(TaskStarted, lambda event: event.task_id == second.id)
        await engine.pause("default", paused=True)
        await engine.take(first.id)
        assert (await facts.first(LeaseLost)).task_id == first.id
        worker.drain("deploy")
        await second.result(20)
    assert seen == [2]


async def test_an_item_takes_the_result_of_a_task_that_it_comes_after(
    app: Tidemill, engine: Engine
) -> None:
    @app.task
    async def measure(number: int) -> int:
        return number * 10

    @app.batch(Item, size=2, within=HOUR)
    async def handle(items: list[Item]) -> list[int]:
        return [item.number + 1 for item in items]

    handles = []
    for number in (1, 2):
        measured = await measure.enqueue(number)
        step = msgspec.structs.replace(
            handle.call(0).new_task(),
            after=After((measured.id,)),
            headers={INPUTS: header_of([(("number",), 0)])},
        )
        await engine.enqueue([step])
        handles.append(app.handle(step.id))
    async with working(app):
        assert [await each.result(20) for each in handles] == [11, 21]
