"""The judge of schedules notices what it is there for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.chaos.instants import Kept, contradictions, instants, lags, of_tasks
from tests.chaos.ledger import Entry
from tidemill import State, Transition
from tidemill.engine import Fire, Fired, Mark
from tidemill.ids import fire_id
from tidemill.schedule import Every, Misfire, Overlap, Schedule
from tidemill.task import NewTask

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SOON = timedelta(milliseconds=50)
LATE = timedelta(minutes=10)
SCHEDULE = Schedule(
    name="s",
    timing=Every(MINUTE),
    task=NewTask(id="", task_type="t", payload=b""),
    since=START,
    created_at=START,
    updated_at=START,
    ends_at=START + timedelta(minutes=4),
)
DUE = instants(SCHEDULE)
A, B, C = DUE


def fired(at: datetime, lag: timedelta = SOON) -> Fire:
    return Fire(
        at=at, recorded_at=at + lag, outcome=Fired.FIRED, task_id=fire_id("s", at, "default")
    )


def missed(at: datetime, lag: timedelta, number: int = 1) -> Fire:
    return Fire(at=at, recorded_at=at + lag, outcome=Fired.MISSED, missed=number)


def skipped(at: datetime, holder: str) -> Fire:
    return Fire(at=at, recorded_at=at + SOON, outcome=Fired.SKIPPED, task_id=holder)


def of(*fires: Fire, **changes: object) -> Kept:
    """What the engine keeps: these fires, the oldest first."""
    count = sum(fire.outcome is Fired.FIRED for fire in fires)
    schedule = msgspec.structs.replace(SCHEDULE, **changes)
    return Kept(schedule, DUE, Mark("s", C, count, fires[::-1]))


def test_every_instant_fired_once_is_in_order() -> None:
    whole = of(fired(A), fired(B), fired(C))
    assert not contradictions(whole)
    assert list(lags(whole)) == [0.05] * 3


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (of(fired(A), fired(B), fired(B), fired(C)), "a second time"),
        (of(fired(A), fired(C)), "never fired at 2026-01-01 00:02"),
        (of(fired(A), fired(B), fired(C), fired(C + MINUTE)), "no instant of it"),
        (of(missed(A, SOON), fired(B), fired(C)), "does not allow"),
        (of(fired(A), fired(B), missed(C, LATE)), "does not allow"),
        (of(missed(B, LATE, 2), fired(C), misfire=Misfire.ALL), "does not allow"),
        (of(missed(B, LATE), fired(C, LATE)), "where 2 were due"),
        (of(fired(A), skipped(B, fire_id("s", A, "default")), fired(C)), "skipped"),
        (of(fired(A), skipped(B, "another"), fired(C), overlap=Overlap.SKIP), "skipped"),
        (of(fired(A), msgspec.structs.replace(fired(B), task_id="x"), fired(C)), "not the task"),
        (Kept(SCHEDULE, DUE, Mark("s", C, 4, (fired(C), fired(B), fired(A)))), "counts 4"),
    ],
)
def test_a_contradiction_is_told(kept: Kept, words: str) -> None:
    told = contradictions(kept)
    assert any(words in text for text in told), told


@pytest.mark.parametrize(
    "kept",
    [
        of(missed(B, LATE, 2), fired(C, LATE)),
        of(missed(C, LATE, 3), misfire=Misfire.SKIP),
        of(missed(A, LATE), fired(B, LATE), fired(C, LATE), misfire=Misfire.ALL, misfire_limit=2),
        of(fired(A), skipped(B, fire_id("s", A, "default")), fired(C), overlap=Overlap.SKIP),
    ],
)
def test_what_a_policy_leaves_out_is_in_order(kept: Kept) -> None:
    assert not contradictions(kept)


def test_instants_that_were_missed_count_as_late() -> None:
    seconds = list(lags(of(missed(B, LATE, 2), fired(C))))
    assert seconds == [660, 600, 0.05]


def entry(task_id: str) -> Transition:
    return Transition(A, "enqueued", task_id, "t", "default", State.PENDING, 0)


@pytest.mark.parametrize(
    ("present", "feed", "told", "words"),
    [
        ([], ["a"], ["a"], "no such task"),
        (["a"], [], ["a"], "never enqueued"),
        (["a"], ["a", "a"], ["a"], "enqueued 2 times"),
        (["a"], ["a"], ["a", "a"], "2 schedulers"),
        (["a", "b"], ["a", "b"], [], "b: no schedule says"),
        (["a"], ["a"], ["a", "b"], "b: no schedule says"),
    ],
)
def test_others_who_saw_something_else_are_heard(
    present: Sequence[str], feed: Sequence[str], told: Sequence[str], words: str
) -> None:
    ledger = [Entry("fired", 0, 1, 1, each) for each in told]
    found = of_tasks(["a"], present, [entry(each) for each in feed], ledger)
    assert any(words in text for text in found), found


def test_a_scheduler_that_was_killed_need_not_have_heard_of_its_fire() -> None:
    assert not of_tasks(["a"], ["a"], [entry("a")], [])
