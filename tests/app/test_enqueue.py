"""Enqueueing: what becomes of arguments and options, and what is refused before it is stored."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.app.conftest import Hand, Recorder
from tidemill import (
    ConfigError,
    EngineRefused,
    PayloadInvalid,
    PayloadTooLarge,
    Settings,
    State,
    TaskEnqueued,
    Tidemill,
    VirtualClock,
)
from tidemill.clock import from_micros
from tidemill.task import NewTask

MINUTE = timedelta(minutes=1)
ID = "0192f8c4-0000-7000-8000-00000000abcd"


async def send(to: str, count: int = 1) -> str:
    return to * count


def task_of(app: Tidemill, **options: Any) -> NewTask:
    app.task(name="send", tags=["mail"])(send)
    return app.function("send").options(**options).call("a").new_task()


# payloads


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"to": 5}, "to"),
        ({"to": "a", "count": "2"}, "count"),
        ({}, "to"),
        ({"to": "", "x": 1}, "x"),
    ],
)
async def test_an_argument_that_does_not_fit_is_named_and_nothing_is_enqueued(
    app: Tidemill, engine: Recorder, arguments: dict[str, Any], field: str
) -> None:
    app.task(name="send")(send)
    with pytest.raises(PayloadInvalid) as caught:
        await app.function("send").enqueue(**arguments)
    assert caught.value.field == field
    assert caught.value.task_type == "send"
    assert not engine.batches


async def test_one_wrong_payload_in_bulk_enqueues_nothing(app: Tidemill, engine: Recorder) -> None:
    sending = app.task(send)
    with pytest.raises(PayloadInvalid):
        await sending.enqueue_many([{"to": "a"}, {"to": 5}])
    assert not engine.batches


async def test_bulk_is_one_call_and_keeps_the_order(app: Tidemill, engine: Recorder) -> None:
    sending = app.task(send)
    handles = await sending.enqueue_many({"to": str(each)} for each in range(500))
    [batch] = engine.batches
    assert [task.id for task in batch] == [handle.id for handle in handles]
    assert [task.id for task in batch] == sorted(task.id for task in batch)
    load = sending.task_type.signature.load
    assert [load(task.payload)["to"] for task in batch] == [str(each) for each in range(500)]


async def test_calls_of_several_task_types_are_enqueued_in_one_step(
    app: Tidemill, engine: Recorder
) -> None:
    one, other = app.task(name="one")(send), app.task(name="other", queue="q")(send)
    await app.enqueue_many([one.call("a"), other.options(priority=9).call("b")])
    [batch] = engine.batches
    assert [(task.task_type, task.queue, task.priority) for task in batch] == [
        ("one", "default", 5),
        ("other", "q", 9),
    ]


async def test_nothing_in_bulk_is_nothing(app: Tidemill) -> None:
    assert await app.task(send).enqueue_many([]) == []


async def test_one_call_enqueued_twice_is_two_tasks(app: Tidemill) -> None:
    call = app.task(send).call("a")
    first, second = await app.enqueue_many([call, call])
    assert first.id != second.id


async def test_one_id_for_several_tasks_is_refused(app: Tidemill, engine: Recorder) -> None:
    sending = app.task(send).options(id=ID)
    with pytest.raises(ConfigError, match="one id was given to several tasks"):
        await sending.enqueue_many([{"to": "a"}, {"to": "b"}])
    assert not engine.batches


async def test_a_64_mib_payload_is_one_clear_line(app: Tidemill, engine: Recorder) -> None:
    app.task(name="send")(send)
    with pytest.raises(PayloadTooLarge) as caught:
        await app.function("send").enqueue(to="x" * (64 * 1024 * 1024))
    assert str(caught.value) == (
        "the payload of send has 67,108,876 bytes, the limit is 1,048,576: "
        "keep the data in a file or a table and pass its name, or raise the limit"
    )
    assert not engine.batches


async def test_the_payload_limit_is_a_setting(make_app: Callable[..., Tidemill]) -> None:
    sending = make_app(settings=Settings(payload_limit=100)).task(send)
    await sending.enqueue(to="x" * 50)
    with pytest.raises(PayloadTooLarge):
        await sending.enqueue(to="x" * 100)


# options


def test_options_reach_the_task(app: Tidemill) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    task = task_of(
        app,
        id=ID,
        queue="fast",
        priority=9,
        max_attempts=2,
        run_at=at,
        expires_at=at + MINUTE,
        timeout=60,
        soft_timeout=30,
        user_id="u",
        project_id="p",
        tags=["x", "mail"],
    )
    assert (task.id, task.queue, task.priority, task.max_attempts) == (ID, "fast", 9, 2)
    assert (task.run_at, task.expires_at) == (at, at + MINUTE)
    assert (task.timeout, task.soft_timeout) == (MINUTE, MINUTE / 2)
    assert (task.user_id, task.project_id) == ("u", "p")
    assert task.tags == ("mail", "x")


def test_later_options_win_and_tags_add_up(app: Tidemill) -> None:
    app.task(name="send")(send)
    first = app.function("send").options(priority=1, queue="a", tags=["x", "y"])
    task = first.options(priority=2, tags=["y", "z"]).call("a").new_task()
    assert (task.priority, task.queue, task.tags) == (2, "a", ("x", "y", "z"))
    assert first.call("a").new_task().priority == 1


def test_a_later_run_at_replaces_an_earlier_delay_and_the_reverse(app: Tidemill) -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    app.task(name="send")(send)
    delayed = app.function("send").options(delay=60)
    dated = delayed.options(run_at=at)
    assert dated.call("a").new_task().run_at == at
    assert dated.call("a").new_task().delay is None
    assert dated.options(delay=5).call("a").new_task().delay == timedelta(seconds=5)
    assert delayed.options(priority=1).call("a").new_task().delay == MINUTE


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"delay": 1, "run_at": datetime(2026, 1, 1, tzinfo=UTC)}, "a delay or run_at, not both"),
        ({"delay": -1}, "cannot be delayed into the past"),
        ({"run_at": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - what is refused
        ({"expires_at": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - the same
        ({"priority": 11}, "not within 0..10"),
        ({"queue": "a b"}, "cannot name a queue"),
        ({"max_attempts": 0}, "counts the first attempt too"),
        ({"timeout": 0}, "must be above 0"),
        ({"timeout": 1, "soft_timeout": 1}, "must be below the timeout"),
        ({"id": "seven"}, "'seven' is not a UUID"),
        ({"tags": "mail"}, "tags are a list of names"),
    ],
)
def test_options_that_no_task_could_have_are_refused(
    app: Tidemill, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        task_of(app, **options)


async def test_an_id_is_known_in_every_spelling(app: Tidemill) -> None:
    sending = app.task(send)
    handle = await sending.options(id=ID.upper()).enqueue("a")
    assert handle.id == ID
    assert await app.handle(ID.replace("-", "")).state() is State.PENDING


async def test_enqueueing_an_id_again_is_the_same_task(app: Tidemill, hand: Hand) -> None:
    sending = app.task(send).options(id=ID)
    first, again = await sending.enqueue("a"), await sending.enqueue("a")
    assert (again.id, again.duplicate) == (first.id, False)
    assert len(await hand.claim(limit=10)) == 1


async def test_a_transaction_goes_to_the_engine(app: Tidemill) -> None:
    sending = app.task(send).options(tx=object())
    with pytest.raises(EngineRefused, match="has no transactions"):
        await sending.enqueue("a")
    with pytest.raises(EngineRefused, match="has no transactions"):
        await sending.enqueue_many([{"to": "a"}])


def test_a_call_cannot_carry_a_transaction(app: Tidemill) -> None:
    with pytest.raises(ConfigError, match=r"give it to app.enqueue_many\(calls, tx=…\)"):
        app.task(send).options(tx=object()).call("a")


# time


async def test_a_delayed_task_waits_for_its_time(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(send).options(delay=60).enqueue("a")
    assert await handle.state() is State.SCHEDULED
    await hand.pass_time(MINUTE)
    assert await handle.state() is State.PENDING


async def test_a_task_not_started_by_its_expiry_is_cancelled(app: Tidemill, hand: Hand) -> None:
    handle = await app.task(expires=60)(send).enqueue("a")
    await hand.pass_time(MINUTE)
    assert await hand.claim() == []
    task = await handle.get()
    assert (task.state, task.reason) == (State.CANCELLED, "expired")


def test_expiry_counts_from_when_the_task_is_due(app: Tidemill, clock: VirtualClock) -> None:
    app.task(name="send", expires=60)(send)
    now = from_micros(clock.now())
    sending = app.function("send")
    at = datetime(2026, 5, 1, tzinfo=UTC)
    assert sending.call("a").new_task().expires_at == now + MINUTE
    assert sending.options(delay=60).call("a").new_task().expires_at == now + 2 * MINUTE
    assert sending.options(run_at=at).call("a").new_task().expires_at == at + MINUTE
    assert sending.options(expires_at=at).call("a").new_task().expires_at == at


# routes


def test_routes_assign_queues_by_pattern_and_the_first_that_matches_wins(
    make_app: Callable[..., Tidemill],
) -> None:
    app = make_app(routes={"tasks.mail_*": "mail", "tasks.*": "general", "*_slow": "slow"})
    for name in ("tasks.mail_send", "tasks.index_slow", "other_slow", "other"):
        app.task(name=name)(send)
    assert [app.queue_of(name) for name in app.task_types] == ["mail", "general", "slow", "default"]


def test_a_task_types_own_queue_wins_over_routes(make_app: Callable[..., Tidemill]) -> None:
    app = make_app(routes={"*": "general"})
    app.task(name="a", queue="own")(send)
    assert app.function("a").call("x").new_task().queue == "own"


def test_a_route_to_what_names_no_queue_is_refused(make_app: Callable[..., Tidemill]) -> None:
    with pytest.raises(ConfigError, match="'a b', which names no queue"):
        make_app(routes={"*": "a b"})


# events


async def test_an_enqueue_is_an_event(app: Tidemill) -> None:
    seen: list[TaskEnqueued] = []
    app.on(TaskEnqueued)(seen.append)
    sending = app.task(name="send", unique="{to}")(send)
    first, second = await sending.enqueue("a"), await sending.enqueue("a")
    assert [(each.task_id, each.duplicate) for each in seen] == [
        (first.id, False),
        (second.id, True),
    ]
    assert seen[0].task.task_type == "send"
