"""The judge of the campaigns must see each kind of contradiction, or a campaign proves nothing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.history import History, ends, lives, overlaps, recoveries, robbed
from tests.chaos.ledger import Entry
from tidemill import State, Task, Transition

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = "0197f000-0000-7000-8000-000000000001"
FIRST, SECOND = 100, 200
STATES = {
    "enqueued": State.PENDING,
    "claimed": State.RUNNING,
    "reclaimed": State.PENDING,
    "completed": State.COMPLETED,
}
Happening = tuple[float, str, int]
"""(second, cause in the feed or phase in the ledger, attempt)"""

LOST_ONCE: tuple[Happening, ...] = (
    (0.0, "enqueued", 0),
    (1.0, "claimed", 1),
    (4.5, "reclaimed", 1),
    (5.0, "claimed", 2),
    (6.0, "completed", 2),
)
RAN_TWICE: tuple[Happening, ...] = ((1.1, "begin", 1), (5.5, "begin", 2), (5.9, "end", 2))
KILLED = {FIRST: 2.0}


def task(state: State = State.COMPLETED) -> Task:
    return Task(
        id=ID,
        task_type="nap",
        queue="default",
        state=state,
        priority=5,
        attempt=2,
        attempt_limit=50,
        max_attempts=50,
        enqueued_at=START,
        run_at=START,
    )


def history(
    feed: Sequence[Happening] = LOST_ONCE,
    ledger: Sequence[Happening] = RAN_TWICE,
    killed: Mapping[int, float] = KILLED,
    tasks: Sequence[Task] = (task(),),
) -> History:
    return History(
        accepted=[ID],
        feed=[
            Transition(
                START + timedelta(seconds=at), cause, ID, "nap", "default", STATES[cause], attempt
            )
            for at, cause, attempt in feed
        ],
        ledger=[
            Entry("begin" if phase == "begin" else "end", round(at * 1e9), pid, 1, ID, attempt)
            for at, phase, attempt in ledger
            for pid in ((FIRST if attempt == 1 else SECOND),)
        ],
        tasks={each.id: each for each in tasks},
        killed={pid: round(at * 1e9) for pid, at in killed.items()},
        max_attempts=50,
        epoch=round(START.timestamp() * 1e9),
    )


def test_a_task_lost_with_its_worker_and_run_again_is_in_order() -> None:
    sound = history()
    assert not lives(sound)
    assert not ends(sound)
    assert not overlaps(sound)
    assert not robbed(sound)


def test_recovery_counts_from_the_kill() -> None:
    (found,) = recoveries(history())
    assert (found.task_id, found.attempt) == (ID, 1)
    assert found.reclaimed == pytest.approx(2.5)
    assert found.begun == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("feed", "complaint"),
    [
        (LOST_ONCE[:-1], "ended 0 times"),
        ((*LOST_ONCE, (7.0, "completed", 2)), "completed after its end"),
        ((*LOST_ONCE, (7.0, "claimed", 3)), "claimed after its end"),
        ((*LOST_ONCE[:-1], (6.0, "completed", 1)), "completed by attempt 1, which was not held"),
        ((*LOST_ONCE[:3], (4.6, "completed", 1)), "completed by attempt 1, which was not held"),
        ((*LOST_ONCE[:2], *LOST_ONCE[3:]), "claimed for attempt 2 while attempt 1 was running"),
        ((*LOST_ONCE[:3], (5.0, "claimed", 3)), "attempt 3 follows attempt 1"),
    ],
)
def test_a_life_that_cannot_be_is_seen(feed: Sequence[Happening], complaint: str) -> None:
    assert f"{ID}: {complaint}" in lives(history(feed))


def test_a_task_that_nobody_enqueued_is_seen() -> None:
    strange = history()
    found = lives(
        History((), strange.feed, strange.ledger, strange.tasks, strange.killed, max_attempts=50)
    )
    assert found == [f"{ID}: nobody enqueued it"]


def test_a_lost_task_is_seen() -> None:
    assert ends(history(tasks=())) == [f"{ID}: lost"]


def test_another_end_than_the_expected_is_seen() -> None:
    assert ends(history(tasks=[task(State.FAILED)])) == [f"{ID}: failed"]


def test_two_attempts_at_a_time_are_seen() -> None:
    late_end = (*RAN_TWICE, (5.6, "end", 1))
    assert overlaps(history(ledger=late_end)) == [f"{ID}: attempt 2 began beside attempt 1"]
    assert overlaps(history(killed={FIRST: 5.7})) == [f"{ID}: attempt 2 began beside attempt 1"]


def test_a_task_taken_from_a_living_worker_is_seen() -> None:
    complaint = [f"{ID}: attempt 1 reclaimed from living {FIRST}"]
    assert robbed(history(killed={})) == complaint
    assert robbed(history(killed={FIRST: 4.6})) == complaint
