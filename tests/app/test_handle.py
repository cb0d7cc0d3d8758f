"""Handles: reading a task, waiting for its end, following it, and operating on it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.app.conftest import Hand, Recorder
from tidemill import (
    DuplicateUniqueKey,
    EngineUnavailable,
    Handle,
    InvalidTransition,
    Progress,
    ResultTimeout,
    State,
    TaskCancelledError,
    TaskError,
    TaskFailedError,
    TaskNotFound,
    Tidemill,
    Transition,
)
from tidemill.engine import FeedPage
from tidemill.ids import IdMaker
from tidemill.outcome import Cancelled, Completed, Failed, Retried

BROKE = TaskError("builtins.ValueError", "it broke", "Traceback …", "f1")
NOBODY = "0192f8c4-0000-7000-8000-00000000abcd"


async def double(number: int) -> int:
    return number * 2


async def test_get_answers_the_record_with_its_details(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(name="double")(double).enqueue(2)
    await hand.settle(await hand.take(), Retried(BROKE))
    task = await handle.get()
    assert (task.id, task.task_type, task.state) == (handle.id, "double", State.PENDING)
    assert task.payload is not None
    assert [attempt.error for attempt in task.attempts] == [BROKE]


async def test_state_and_progress_are_those_of_the_engine(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    assert (await handle.state(), await handle.progress()) == (State.PENDING, None)
    claim = await hand.take()
    await hand.report(claim, Progress(40, "halfway, nearly"))
    assert await handle.state() is State.RUNNING
    assert await handle.progress() == Progress(40, "halfway, nearly")


async def test_a_task_that_never_existed_is_not_found(app: Tidemill) -> None:
    handle = app.handle(NOBODY)
    for question in (handle.get, handle.state, handle.progress, handle.result, handle.cancel):
        with pytest.raises(TaskNotFound):
            await question()
    with pytest.raises(TaskNotFound):
        await handle.retry()
    with pytest.raises(TaskNotFound):
        [_ async for _ in handle.events()]


def test_a_text_that_is_no_id_is_not_found_at_once(app: Tidemill) -> None:
    with pytest.raises(TaskNotFound, match="there is no task seven"):
        app.handle("seven")


# results


async def test_the_result_of_a_completed_task_is_its_value(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    await hand.complete(await hand.take(), 4)
    assert await handle.result() == 4


async def test_a_result_can_be_awaited_before_it_is_there(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    waiting = asyncio.create_task(handle.result(timeout=30))
    claim = await hand.take()
    await hand.settle(claim, Retried(BROKE))
    await hand.complete(await hand.take(), 4)
    assert await waiting == 4


async def test_a_result_has_the_type_that_the_function_says(app: Tidemill, hand: Hand) -> None:
    @app.task
    async def span(seconds: int) -> timedelta:
        return timedelta(seconds=seconds)

    handle = await span.enqueue(5)
    await hand.complete(await hand.take(), timedelta(seconds=5))
    assert await handle.result() == timedelta(seconds=5)
    assert await app.handle(handle.id).result() == timedelta(seconds=5)


async def test_the_result_of_an_undeclared_type_is_plain_json(
    app: Tidemill, hand: Hand, engine: Recorder
) -> None:
    @app.task
    async def span(seconds: int) -> timedelta:
        return timedelta(seconds=seconds)

    handle = await span.enqueue(5)
    await hand.complete(await hand.take(), timedelta(seconds=5))
    other = Tidemill("memory://")
    other.use_engine(engine)
    assert await other.handle(handle.id).result() == "PT5S"


async def test_a_task_that_keeps_no_result_answers_none(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(keep_result=False)(double).enqueue(2)
    await hand.settle(await hand.take(), Completed())
    assert await handle.result() is None


async def test_the_result_of_a_failed_task_is_its_error(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    await hand.settle(await hand.take(), Failed(BROKE))
    with pytest.raises(TaskFailedError, match=r"failed: builtins\.ValueError: it broke") as caught:
        await handle.result()
    error = caught.value
    assert (error.task_id, error.error_type, error.message, error.traceback, error.fingerprint) == (
        handle.id,
        *(BROKE.type, BROKE.message, BROKE.traceback, BROKE.fingerprint),
    )


async def test_the_result_of_a_cancelled_task_is_its_reason(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    await hand.settle(await hand.take(), Cancelled("not wanted"))
    with pytest.raises(TaskCancelledError, match="was cancelled: not wanted") as caught:
        await handle.result()
    assert caught.value.reason == "not wanted"


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=10)])
async def test_waiting_for_a_result_ends_in_time_and_the_task_goes_on(
    app: Tidemill, hand: Hand, timeout: Any
) -> None:
    handle = await app.task(double).enqueue(2)
    with pytest.raises(ResultTimeout, match=rf"task {handle.id} is not final after 0(\.01)? s"):
        await handle.result(timeout)
    await hand.complete(await hand.take(), 4)
    assert await handle.result(30) == 4


async def test_many_waiting_handles_share_one_reader(
    app: Tidemill, hand: Hand, engine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    feed = engine.feed

    async def counted(after: str | None, limit: int, wait: timedelta) -> FeedPage:
        nonlocal reads
        reads += 1
        return await feed(after, limit, wait)

    monkeypatch.setattr(engine, "feed", counted)
    handles = await app.task(double).enqueue_many({"number": each} for each in range(100))
    waiting = [asyncio.create_task(handle.result()) for handle in handles]
    while reads < 2:
        await hand.let_others_run()
    for claim in await hand.claim(limit=100):
        number = app.task_types[claim.task_type].signature.load(claim.payload)["number"]
        assert isinstance(number, int)
        await hand.complete(claim, number * 2)
    assert await asyncio.gather(*waiting) == [each * 2 for each in range(100)]
    assert reads <= 100


async def test_who_waits_is_told_when_the_engine_is_lost(
    app: Tidemill, engine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await app.task(double).enqueue(2)

    async def lost(after: str | None, limit: int, wait: timedelta) -> FeedPage:
        raise EngineUnavailable

    with monkeypatch.context() as outage:
        outage.setattr(engine, "feed", lost)
        with pytest.raises(EngineUnavailable):
            await handle.result(30)
    with pytest.raises(ResultTimeout):
        await handle.result(0.01)


async def test_a_gap_in_the_feed_loses_no_result(
    app: Tidemill, hand: Hand, engine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await app.task(double).enqueue(2)
    feed = engine.feed

    async def cut(after: str | None, limit: int, wait: timedelta) -> FeedPage:
        page = await feed(after, limit, wait)
        return FeedPage((), page.cursor, cut=True) if page.entries else page

    monkeypatch.setattr(engine, "feed", cut)
    waiting = asyncio.create_task(handle.result(30))
    following = asyncio.create_task(_causes(handle))
    await asyncio.sleep(0)
    await hand.complete(await hand.take(), 4)
    assert await waiting == 4
    assert await following == []


# events


async def _causes(handle: Handle[Any]) -> list[str]:
    return [entry.cause async for entry in handle.events()]


def _is_waited_for(queue: asyncio.Queue[Any]) -> bool:
    return bool(vars(queue)["_getters"])


async def test_events_are_the_transitions_in_order_until_the_end(app: Tidemill, hand: Hand) -> None:
    sending = app.task(double)
    handle, other = await sending.enqueue(2), await sending.options(delay=60).enqueue(3)
    seen: list[Transition] = []

    async def follow() -> None:
        seen.extend([entry async for entry in handle.events()])

    following = asyncio.create_task(follow())
    listeners = (await app.watch())._listeners
    while not (queues := listeners.get(handle.id)) or not _is_waited_for(queues[0]):
        await hand.let_others_run()
    claim = await hand.take()
    await hand.report(claim, Progress(40))
    await hand.settle(claim, Retried(BROKE))
    await app.handle(other.id).cancel()
    await hand.complete(await hand.take(), 4)
    await following
    assert [(entry.cause, entry.state) for entry in seen] == [
        ("claimed", State.RUNNING),
        ("progress", State.RUNNING),
        ("retried", State.PENDING),
        ("claimed", State.RUNNING),
        ("completed", State.COMPLETED),
    ]
    assert {entry.task_id for entry in seen} == {handle.id}
    assert seen[1].progress == Progress(40)


async def test_a_final_task_has_no_more_events(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    await hand.complete(await hand.take(), 4)
    assert await _causes(handle) == []


async def test_nobody_reads_the_feed_when_nobody_listens(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    with pytest.raises(ResultTimeout):
        await handle.result(0.01)
    watch = await app.watch()
    assert (watch._listeners, watch._reader) == ({}, None)


# operate


async def test_cancel_ends_a_waiting_task_and_asks_a_running_one(app: Tidemill, hand: Hand) -> None:
    sending = app.task(double)
    running = await sending.enqueue(1)
    claim = await hand.take()
    waiting = await sending.enqueue(2)
    assert await waiting.cancel("not wanted") is State.CANCELLED
    assert (await waiting.get()).reason == "not wanted"
    assert await running.cancel() is State.RUNNING
    assert (await running.get()).cancel_requested
    await hand.complete(claim, 2)
    assert await running.cancel() is State.COMPLETED


async def test_retry_runs_a_failed_task_again(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    await hand.settle(await hand.take(), Failed(BROKE))
    await handle.retry()
    await hand.complete(await hand.take(), 4)
    assert await handle.result() == 4


async def test_a_task_that_has_not_failed_cannot_be_retried(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(double).enqueue(2)
    with pytest.raises(InvalidTransition, match="it is pending"):
        await handle.retry()
    await hand.complete(await hand.take(), 4)
    with pytest.raises(InvalidTransition, match="it is completed"):
        await handle.retry()


async def test_a_retry_whose_key_is_taken_by_now_is_refused(app: Tidemill, hand: Hand) -> None:
    sending = app.task(unique="{number}")(double)
    handle = await sending.enqueue(2)
    await hand.settle(await hand.take(), Failed(BROKE))
    await sending.enqueue(2)
    with pytest.raises(DuplicateUniqueKey) as caught:
        await handle.retry()
    assert caught.value.unique_key.endswith("/2")


def test_a_handle_shows_its_task(app: Tidemill) -> None:
    task_id = IdMaker().make()
    assert repr(app.handle(task_id)) == repr(app.handle(task_id).blocking) == f"<task {task_id}>"
