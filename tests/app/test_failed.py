"""`app.failed`: finding, grouping, retrying, editing and dropping failed tasks."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Hand, Recorder
from tests.app.scenes import MakeScene, scenes
from tests.engines.makers import ENGINES
from tidemill import (
    ConfigError,
    DuplicateUniqueKey,
    InvalidTransition,
    PayloadInvalid,
    State,
    TaskEnqueued,
    TaskError,
    TaskNotFound,
    TaskQuery,
    Tidemill,
)
from tidemill.app.failed import Failed as FailedTasks
from tidemill.clock import from_micros
from tidemill.engine import Retrial
from tidemill.outcome import Cancelled, Completed, Failed

SECOND = timedelta(seconds=1)
REFUSED = TaskError("smtplib.SMTPRefused", "550 no such user ada@example.org", "…", "f-refused")
SLOW = TaskError("builtins.TimeoutError", "the host did not answer", "…", "f-slow")


@pytest.fixture
def fail(app: Tidemill, hand: Hand) -> Callable[..., Any]:
    """Enqueues tasks and fails them; answers their ids in order."""

    @app.task(name="send", queue="mail")
    def send(to: str, times: int = 1) -> None: ...

    @app.task(name="resize", queue="images")
    def resize() -> None: ...

    async def fail(
        number: int = 1, error: TaskError = REFUSED, of: str = "send", **options: Any
    ) -> list[str]:
        function = app.function(of).options(**options)
        payload = {"to": "ada"} if of == "send" else {}
        handles = await function.enqueue_many([payload] * number)
        for claim in await hand.claim(number):
            assert await hand.settle(claim, Failed(error)) is State.FAILED
        return [handle.id for handle in handles]

    return fail


async def states(app: Tidemill, ids: Iterable[str]) -> list[State]:
    return [await app.handle(each).state() for each in ids]


# find and group


async def test_failed_tasks_are_found_by_every_filter(
    app: Tidemill, hand: Hand, fail: Callable[..., Any]
) -> None:
    [mail] = await fail(user_id="u1", project_id="p1")
    hand.clock.advance(SECOND)
    between = from_micros(hand.clock.now())
    [image] = await fail(error=SLOW, of="resize")
    for wanted, ids in {
        TaskQuery(): [image, mail],
        TaskQuery(task_types=frozenset({"send"})): [mail],
        TaskQuery(queues=frozenset({"images"})): [image],
        TaskQuery(fingerprint="f-slow"): [image],
        TaskQuery(error_contains="NO SUCH USER"): [mail],
        TaskQuery(user_id="u1"): [mail],
        TaskQuery(project_id="p2"): [],
        TaskQuery(enqueued_from=between): [image],
        TaskQuery(enqueued_until=between): [mail],
        TaskQuery(states=frozenset({State.FAILED}), limit=1): [image],
    }.items():
        page = await app.failed.find(wanted)
        assert [task.id for task in page.tasks] == ids, wanted


async def test_pages_continue_after_their_cursor(app: Tidemill, fail: Callable[..., Any]) -> None:
    ids = await fail(5)
    first = await app.failed.find(TaskQuery(limit=3))
    rest = await app.failed.find(TaskQuery(limit=3, before=first.cursor))
    assert [task.id for task in (*first.tasks, *rest.tasks)] == ids[::-1]
    assert rest.cursor is None


async def test_what_is_not_failed_is_not_found(
    app: Tidemill, hand: Hand, fail: Callable[..., Any]
) -> None:
    [failed] = await fail()
    for outcome in (Completed(), Cancelled("no")):
        await app.function("resize").enqueue()
        await hand.settle(await hand.take(), outcome)
    await app.function("resize").enqueue()
    assert [task.id for task in (await app.failed.find()).tasks] == [failed]
    with pytest.raises(ConfigError, match=r"not cancelled, failed: leave states out"):
        await app.failed.find(TaskQuery(states=frozenset({State.FAILED, State.CANCELLED})))


async def test_groups_are_by_fingerprint_the_largest_first(
    app: Tidemill, hand: Hand, fail: Callable[..., Any]
) -> None:
    start = from_micros(hand.clock.now())
    slow = await fail(2, SLOW)
    hand.clock.advance(SECOND)
    slow += await fail(2, TaskError(SLOW.type, "no answer now", "", "f-slow"), of="resize")
    refused = await fail(1)
    answer = await app.failed.groups()
    assert (answer.looked_at, answer.capped) == (5, False)
    first, second = answer.groups
    assert (first.fingerprint, first.count, first.error_type) == ("f-slow", 4, SLOW.type)
    assert first.message == "no answer now"
    assert (first.task_types, first.queues) == (("resize", "send"), ("images", "mail"))
    assert (first.first_at, first.last_at) == (start, start + SECOND)
    assert first.examples == tuple(slow[:0:-1])
    assert (second.fingerprint, second.count, second.examples) == ("f-refused", 1, tuple(refused))


async def test_groups_look_at_what_matches_only(app: Tidemill, fail: Callable[..., Any]) -> None:
    await fail(3, SLOW)
    await fail(1, of="resize")
    answer = await app.failed.groups(TaskQuery(queues=frozenset({"images"})))
    assert [(group.fingerprint, group.count) for group in answer.groups] == [("f-refused", 1)]


async def test_groups_say_when_there_is_more_than_they_looked_at(
    app: Tidemill, fail: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.app.failed.MOST_GROUPED", 1_000)
    await fail(1_000, SLOW)
    exact = await app.failed.groups()
    assert (exact.looked_at, exact.capped) == (1_000, False)
    await fail(1)
    capped = await app.failed.groups()
    assert (capped.looked_at, capped.capped) == (1_000, True)
    assert [group.count for group in capped.groups] == [999, 1]


# retry


async def test_tasks_are_retried_by_id_and_refusals_are_counted(
    app: Tidemill, hand: Hand, fail: Callable[..., Any]
) -> None:
    ids = await fail(2)
    await app.function("resize").enqueue()
    done = await hand.take()
    await hand.complete(done, None)
    waiting = await app.function("resize").enqueue()
    unknown = "0190aaaa-0000-7000-8000-000000000000"
    report = await app.failed.retry([*ids, ids[0], done.ref.task_id, waiting.id, unknown])
    assert (report.asked, report.retried) == (5, 2)
    assert report.refused == {
        Retrial.COMPLETED: 1,
        Retrial.NOT_FINAL: 1,
        Retrial.NOT_FOUND: 1,
    }
    assert await states(app, ids) == [State.PENDING] * 2


async def test_a_cancelled_task_is_retried_by_its_id_only(
    app: Tidemill, fail: Callable[..., Any]
) -> None:
    handle = await app.function("resize").enqueue()
    await handle.cancel()
    assert (await app.failed.retry(TaskQuery())).asked == 0
    assert (await app.failed.retry([handle.id])).retried == 1


async def test_all_that_a_query_finds_are_retried_in_batches(
    app: Tidemill, fail: Callable[..., Any]
) -> None:
    slow = await fail(1_100, SLOW)
    refused = await fail(1)
    told: list[tuple[int, int | None]] = []
    report = await app.failed.retry(
        TaskQuery(fingerprint="f-slow"), progress=lambda done, total: told.append((done, total))
    )
    assert (report.asked, report.retried, report.refused) == (1_100, 1_100, {})
    assert told == [(500, None), (1_000, None), (1_100, None)]
    assert set(await states(app, slow)) == {State.PENDING}
    assert await states(app, refused) == [State.FAILED]


async def test_what_fails_again_meanwhile_is_not_retried_again(
    app: Tidemill,
    engine: Recorder,
    hand: Hand,
    fail: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a worker that is faster than the retry."""
    await fail(3)
    retry = engine.retry

    async def retried_and_failed(ids: Any) -> list[Retrial]:
        answers = await retry(ids)
        for claim in await hand.claim(len(ids)):
            await hand.settle(claim, Failed(REFUSED))
        return answers

    monkeypatch.setattr(engine, "retry", retried_and_failed)
    assert (await app.failed.retry(TaskQuery())).retried == 3


class Pace:
    """A clock that only sleeping moves, and the time at which each task was retried."""

    def __init__(self, app: Tidemill, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 100.0
        self.takes = 0.0
        self.retried: list[float] = []
        retry = engine.retry

        async def seen(ids: Any) -> list[Retrial]:
            self.retried += [self.time] * len(ids)
            self.time += self.takes
            return list(await retry(ids))

        monkeypatch.setattr(engine, "retry", seen)
        self.failed = FailedTasks(app, now=lambda: self.time, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.time += seconds

    def most_within(self, seconds: float) -> int:
        """The most tasks that were retried in any stretch of time of this length."""
        return max(
            sum(start <= each < start + seconds for each in self.retried) for start in self.retried
        )


@pytest.mark.parametrize(
    ("rate", "number", "seconds", "at_once"),
    [(10, 25, 2.4, 2), (1, 4, 3, 1), (0.25, 3, 8, 1), (1_000, 1_100, 1.0, 200)],
)
async def test_a_rate_is_kept_evenly_and_never_exceeded(
    app: Tidemill,
    fail: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    rate: float,
    number: int,
    seconds: float,
    at_once: int,
) -> None:
    await fail(number)
    pace = Pace(app, await app.engine(), monkeypatch)
    report = await pace.failed.retry(TaskQuery(), rate=rate)
    assert report.retried == number
    assert pace.time - 100 == pytest.approx(seconds, abs=0.21)
    assert pace.most_within(0.001) == at_once
    for stretch in (1.0, 2.0, 10.0):
        assert pace.most_within(stretch - 1e-6) <= max(at_once, rate * stretch + at_once / 2)


async def test_time_that_the_engine_took_is_not_made_up_for(
    app: Tidemill, fail: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(6)
    pace = Pace(app, await app.engine(), monkeypatch)
    pace.takes = 3.0
    await pace.failed.retry(TaskQuery(), rate=5)
    assert [later - sooner for sooner, later in pairwise(pace.retried)] == [3.0] * 5


@pytest.mark.parametrize("rate", [0, -1.5])
async def test_a_rate_that_never_ends_is_refused(app: Tidemill, rate: float) -> None:
    with pytest.raises(ConfigError, match="give one above 0"):
        await app.failed.retry([], rate=rate)


async def test_what_is_no_id_is_not_found(app: Tidemill) -> None:
    with pytest.raises(TaskNotFound, match="seven"):
        await app.failed.retry(["seven"])


# edit and retry


async def test_an_edited_retry_is_a_new_task_that_names_the_old_one(
    app: Tidemill, hand: Hand, fail: Callable[..., Any]
) -> None:
    [old] = await fail(
        queue="urgent",
        priority=9,
        max_attempts=2,
        timeout=30,
        soft_timeout=20,
        tags=["a"],
        user_id="u",
        project_id="p",
    )
    seen: list[TaskEnqueued] = []
    app.on(TaskEnqueued)(seen.append)
    before = await app.handle(old).get()
    handle = await app.failed.retry_edited(old, {"to": "grace", "times": 3})
    new = await handle.get()
    assert new.id != old
    assert new.retried_from == old
    assert (new.state, new.attempt) == (State.PENDING, 0)
    assert app.task_types["send"].signature.load(new.payload or b"") == {"to": "grace", "times": 3}
    for field in (
        "task_type queue priority max_attempts timeout soft_timeout tags user_id project_id".split()
    ):
        assert getattr(new, field) == getattr(before, field), field
    assert await app.handle(old).get() == before
    assert [event.task_id for event in seen] == [new.id]


async def test_options_of_an_edited_retry_win_over_those_of_the_old_task(
    app: Tidemill, fail: Callable[..., Any]
) -> None:
    [old] = await fail(priority=9, user_id="u")
    handle = await app.failed.retry_edited(old, {"to": "grace"}, priority=1, delay=60)
    new = await handle.get()
    assert (new.priority, new.user_id, new.state) == (1, "u", State.SCHEDULED)


async def test_an_edited_payload_is_checked(app: Tidemill, fail: Callable[..., Any]) -> None:
    [old] = await fail()
    with pytest.raises(PayloadInvalid, match="times"):
        await app.failed.retry_edited(old, {"to": "grace", "times": "often"})
    assert [task.id for task in (await app.failed.find()).tasks] == [old]


async def test_only_failed_and_cancelled_tasks_are_retried_edited(
    app: Tidemill, fail: Callable[..., Any]
) -> None:
    await fail()
    handle = await app.function("resize").enqueue()
    with pytest.raises(InvalidTransition, match="it is pending"):
        await app.failed.retry_edited(handle.id, {})
    await handle.cancel()
    new = await app.failed.retry_edited(handle.id, {})
    assert (await new.get()).retried_from == handle.id
    with pytest.raises(TaskNotFound):
        await app.failed.retry_edited("0190aaaa-0000-7000-8000-000000000000", {})


async def test_an_edited_retry_never_gives_way_to_the_holder_of_its_unique_key(
    app: Tidemill, hand: Hand
) -> None:
    @app.task(name="sync", unique="sync-{account}")
    def sync(account: str, full: bool = False) -> None: ...

    old = await sync.enqueue(account="a")
    await hand.settle(await hand.take(), Failed(REFUSED))
    holder = await sync.enqueue(account="a")
    with pytest.raises(DuplicateUniqueKey, match=holder.id):
        await app.failed.retry_edited(old.id, {"account": "a", "full": True})
    await holder.cancel()
    new = await app.failed.retry_edited(old.id, {"account": "a", "full": True})
    unique = (await new.get()).unique
    assert unique is not None
    assert unique.key == "sync/sync-a"


# drop


async def test_dropped_tasks_are_gone(app: Tidemill, fail: Callable[..., Any]) -> None:
    slow, refused = await fail(2, SLOW), await fail(2)
    assert await app.failed.drop(TaskQuery(fingerprint="f-slow")) == 2
    assert await app.failed.drop(refused[:1]) == 1
    assert await app.failed.drop(slow) == 0
    assert [task.id for task in (await app.failed.find()).tasks] == refused[1:]


async def test_dropping_takes_no_other_final_task(
    app: Tidemill, hand: Hand, fail: Callable[..., Any]
) -> None:
    [failed] = await fail()
    await app.function("resize").enqueue()
    done = await hand.take()
    await hand.complete(done, None)
    cancelled = await app.function("resize").enqueue()
    await cancelled.cancel()
    assert await app.failed.drop([failed, done.ref.task_id, cancelled.id]) == 1
    assert await states(app, [done.ref.task_id, cancelled.id]) == [
        State.COMPLETED,
        State.CANCELLED,
    ]


async def test_one_id_is_one_task(app: Tidemill, fail: Callable[..., Any]) -> None:
    [failed] = await fail()
    assert (await app.failed.retry(failed)).retried == 1


# on every engine


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeScene]:
    """Opens a scene on each kind of engine."""
    with scenes(request.param, tmp_path) as opened:
        yield opened


async def test_every_engine_groups_retries_and_drops_many(scene: MakeScene) -> None:
    async with scene() as at:
        slow = await at.end_many(600, Failed(SLOW))
        refused = await at.end_many(550, Failed(REFUSED), of="send")
        failed = at.app.failed
        assert [(group.fingerprint, group.count) for group in (await failed.groups()).groups] == [
            ("f-slow", 600),
            ("f-refused", 550),
        ]
        assert (await failed.retry(TaskQuery(error_contains="did not answer"))).retried == 600
        new = await failed.retry_edited(refused[0], {})
        assert (await new.get()).retried_from == refused[0]
        assert await failed.drop(TaskQuery(queues=frozenset({"mail"}))) == 550
        assert (await failed.find()).tasks == ()
        assert set(await states(at.app, slow[:3])) == {State.PENDING}
