"""The judge of workflows sees what began early, twice, never, or ended against its policy."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from tests.chaos.graph import early, misjudged, twice
from tidemill import State, Task, Transition
from tidemill.task import After, NewTask
from tidemill.testing import new_task

START = datetime(2026, 1, 1, tzinfo=UTC)
STATES = {
    "enqueued": State.BLOCKED,
    "upstream_final": State.PENDING,
    "claimed": State.RUNNING,
    "completed": State.COMPLETED,
}
Happening = tuple[float, str, str]
"""(second, task, cause)"""

WELL: tuple[Happening, ...] = (
    (0, "join", "enqueued"),
    (1, "a", "claimed"),
    (2, "a", "completed"),
    (3, "b", "completed"),
    (3, "join", "upstream_final"),
    (4, "join", "claimed"),
    (5, "join", "completed"),
)
NEW = new_task()


def made(
    name: str, *upstream: str, on_failure: Literal["fail", "skip", "continue"] = "fail"
) -> NewTask:
    return NewTask(
        id=name,
        task_type=NEW.task_type,
        payload=b"{}",
        after=After(upstream, on_failure) if upstream else None,
    )


def feed(happened: Sequence[Happening]) -> list[Transition]:
    return [
        Transition(START + timedelta(seconds=at), cause, task_id, "nap", "q", STATES[cause], 1)
        for at, task_id, cause in happened
    ]


def ended(name: str, state: State, *, ran: bool = True, reason: str | None = None) -> Task:
    return Task(
        id=name,
        task_type="nap",
        queue="q",
        state=state,
        priority=5,
        attempt=int(ran),
        attempt_limit=4,
        max_attempts=4,
        enqueued_at=START,
        run_at=START,
        reason=reason,
    )


JOIN = [made("a"), made("b"), made("join", "a", "b")]


def test_what_is_in_order_is_not_complained_of() -> None:
    assert early(JOIN, feed(WELL)) == []
    assert twice(JOIN, feed(WELL)) == []


def test_a_task_that_goes_on_before_the_last_one_ended_is_early() -> None:
    hasty = [
        (2.5, each, what) if what == "upstream_final" else (at, each, what)
        for at, each, what in WELL
    ]
    assert early(JOIN, feed(hasty)) == ["join: upstream_final 0.500 s before the last one ended"]
    never = [each for each in WELL if each[1] != "b"]
    assert early(JOIN, feed(never))[0] == "join: upstream_final before b had ended"


def test_a_task_that_goes_on_twice_or_never_is_seen() -> None:
    assert twice(JOIN, feed([*WELL, (6, "join", "upstream_final")])) == ["join: went on 2 times"]
    assert twice(JOIN, feed(WELL[:4])) == ["join: never went on", "join: ended 0 times"]
    assert twice(JOIN, feed([*WELL, (6, "join", "completed")])) == ["join: ended 2 times"]


@pytest.mark.parametrize(
    ("on_failure", "right"),
    [
        ("fail", ended("b", State.FAILED, ran=False)),
        ("skip", ended("b", State.CANCELLED, ran=False, reason="skipped")),
        ("continue", ended("b", State.COMPLETED)),
    ],
)
def test_each_policy_allows_one_end_only(
    on_failure: Literal["fail", "skip", "continue"], right: Task
) -> None:
    graph = [made("a"), made("b", "a", on_failure=on_failure)]
    first = ended("a", State.FAILED)
    others = [
        ended("b", state, ran=ran, reason=reason)
        for state in (State.COMPLETED, State.FAILED, State.CANCELLED)
        for ran in (True, False)
        for reason in (None, "skipped")
    ]
    assert list(misjudged(graph, {"a": first, "b": right}, frozenset("a"))) == []
    wrong = [each for each in others if each != right]
    assert len(wrong) == len(others) - 1
    for other in wrong:
        assert list(misjudged(graph, {"a": first, "b": other}, frozenset("a")))


def test_a_task_after_a_failed_and_a_cancelled_one_may_end_as_either() -> None:
    graph = [made("a"), made("b"), made("c", "a", "b")]
    before = {"a": ended("a", State.FAILED), "b": ended("b", State.CANCELLED, ran=False)}
    for state in (State.FAILED, State.CANCELLED):
        found = {**before, "c": ended("c", state, ran=False)}
        assert not [text for text in misjudged(graph, found, frozenset("a")) if "c:" in text]


def test_a_task_that_should_fail_and_one_that_is_gone_are_seen() -> None:
    graph = [made("a"), made("b")]
    found = {"a": ended("a", State.COMPLETED)}
    assert list(misjudged(graph, found, frozenset("a"))) == [
        "a: completed, not failed",
        "b: lost",
    ]
