"""The judge of those who go on after an outage must see whoever does not."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.history import History, Outage, late, late_begins, recoveries, undone
from tests.chaos.ledger import Entry, Phase
from tests.chaos.resumption import idle, resumed
from tidemill import State, Transition

START = datetime(2026, 1, 1, tzinfo=UTC)
WORKER, CHILD = 100, 101
STATES = {"enqueued": State.PENDING, "reclaimed": State.PENDING, "claimed": State.RUNNING}
Told = tuple[float, str, str]
"""(second, cause, task)"""
Seen = tuple[float, Phase, int, str]
"""(second, phase, process, task)"""


def history(
    feed: Sequence[Told] = (),
    ledger: Sequence[Seen] = (),
    outages: Sequence[tuple[float, float]] = (),
    killed: dict[int, float] | None = None,
) -> History:
    return History(
        accepted=[],
        feed=[
            Transition(START + timedelta(seconds=at), cause, task, "nap", "default", state, 1)
            for at, cause, task in feed
            for state in (STATES[cause],)
        ],
        ledger=entries(ledger),
        tasks={},
        killed={pid: nanoseconds(at) for pid, at in (killed or {}).items()},
        max_attempts=50,
        epoch=round(START.timestamp() * 1e9),
        outages=[Outage(nanoseconds(began), nanoseconds(ended)) for began, ended in outages],
    )


def entries(ledger: Sequence[Seen]) -> list[Entry]:
    return [Entry(phase, nanoseconds(at), pid, 1, task, 1) for at, phase, pid, task in ledger]


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


WAITS: tuple[Told, ...] = ((1, "enqueued", "a"), (14, "claimed", "a"))
"""One task that was ready for 13 seconds."""
READY: Seen = (0, "ready", WORKER, "")


def test_a_worker_that_leaves_ready_tasks_alone_is_seen() -> None:
    complaint = [f"worker {WORKER} began nothing for 13.0 s although tasks were ready"]
    assert idle(history(WAITS, [READY]), 10) == complaint
    assert idle(history(WAITS, [READY, (14.1, "begin", WORKER, "a")]), 10) == complaint


@pytest.mark.parametrize(
    "sound",
    [
        history(WAITS, [READY, (5, "begin", WORKER, "b"), (14, "begin", WORKER, "a")]),
        history(WAITS, [READY], outages=[(4, 5)]),
        history(WAITS, [READY], killed={WORKER: 9.0}),
        history([(1, "reclaimed", "a"), (14, "claimed", "a")], [READY]),
        history([(1, "enqueued", "a"), (7, "claimed", "a"), (8, "enqueued", "b")], [READY]),
    ],
    ids=["it worked", "the store was away", "it was killed", "it waits to be alone", "nothing"],
)
def test_a_worker_without_anything_to_begin_is_not_blamed(sound: History) -> None:
    assert not idle(sound, 10)


def test_a_worker_is_back_with_the_next_task_that_it_begins_itself() -> None:
    ledger: Sequence[Seen] = [
        READY,
        (2, "begin", WORKER, "a"),
        (5.5, "begin", CHILD, "b"),
        (6, "begin", WORKER, "c"),
    ]
    assert resumed(entries(ledger), [nanoseconds(5)]) == [1.0]
    assert not resumed(entries(ledger), [nanoseconds(7)])


def test_a_result_that_was_recorded_and_then_forgotten_is_seen() -> None:
    settled: tuple[Seen, ...] = ((1, "begin", WORKER, "a"), (2, "settled", WORKER, "a"))
    assert not undone(history(ledger=settled))
    assert undone(history(ledger=[*settled, (3, "begin", WORKER, "a")])) == [
        "a: began again as attempt 1, although attempt 1 was settled"
    ]
    assert undone(history(ledger=[*settled, (3, "settled", CHILD, "a")])) == [
        "a: settled again as attempt 1, although attempt 1 was settled"
    ]


def test_a_task_that_began_again_too_late_is_seen_unless_another_kill_came_between() -> None:
    feed: Sequence[Told] = [(1, "claimed", "a"), (3, "reclaimed", "a")]
    ledger: Sequence[Seen] = [(1, "begin", WORKER, "a")]
    again = [*entries(ledger), Entry("begin", nanoseconds(12), CHILD, 1, "a", 2)]
    sound = history(feed, ledger, killed={WORKER: 2.0})
    found = recoveries(dataclasses.replace(sound, ledger=again))
    assert late_begins(found, 9) == ["a: began again 10.00 s after the only kill, more than 9 s"]
    killed = {WORKER: nanoseconds(2), 77: nanoseconds(5)}
    assert not late_begins(recoveries(dataclasses.replace(sound, ledger=again, killed=killed)), 9)


def test_a_recovery_that_took_too_long_is_seen() -> None:
    feed: Sequence[Told] = [(1, "claimed", "a"), (12, "reclaimed", "a")]
    ledger: Sequence[Seen] = [(1, "begin", WORKER, "a")]
    slow = recoveries(history(feed, ledger, killed={WORKER: 2.0}))
    assert late(slow, 9.5) == ["a: reclaimed 10.00 s after the kill, more than 9.5 s"]
    away = recoveries(history(feed, ledger, killed={WORKER: 2.0}, outages=[(4, 5), (11, 99)]))
    assert [each.reclaimed for each in away] == [8.0]
    assert not late(away, 9.5)
