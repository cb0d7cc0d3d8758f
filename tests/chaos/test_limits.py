"""The judge of limits sees each kind of excess, and what is left unused."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.chaos.limits import HOLDS_SLOT, RUNS, at_once, fullest, most_at_once, share, used
from tidemill import State, Transition
from tidemill.rates import Rate

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
RATE = Rate(10, timedelta(seconds=1), 2)
EVENLY = [number * SECOND // 10 for number in range(40)]


def entry(at: float, task_id: str, cause: str, state: State) -> Transition:
    return Transition(START + timedelta(seconds=at), cause, task_id, "nap", "few", state, 1)


def ran(task_id: str, start: float, end: float) -> tuple[Transition, Transition]:
    return (
        entry(start, task_id, "claimed", State.RUNNING),
        entry(end, task_id, "completed", State.COMPLETED),
    )


def feed(*lives: Sequence[Transition]) -> list[Transition]:
    return sorted((each for life in lives for each in life), key=lambda each: each.at)


def test_most_at_once_counts_what_overlaps_and_nothing_else() -> None:
    apart = feed(ran("a", 0, 1), ran("b", 1.5, 2))
    beside = feed(ran("a", 0, 1), ran("b", 0.5, 2))
    assert most_at_once(apart, lambda each: each.queue, RUNS) == {"few": 1}
    assert most_at_once(beside, lambda each: each.queue, RUNS) == {"few": 2}
    assert most_at_once(beside, lambda each: each.task_id, RUNS) == {"a": 1, "b": 1}
    assert most_at_once(beside, lambda _: None, RUNS) == {}


def test_a_pending_task_holds_its_slot_and_keeps_it_when_it_is_claimed() -> None:
    found = [entry(0, "a", "admitted", State.PENDING), *ran("a", 1, 2)]
    assert most_at_once(found, lambda each: each.queue, HOLDS_SLOT) == {"few": 1}
    found[1:1] = [entry(0.5, "b", "admitted", State.PENDING)]
    assert most_at_once(found, lambda each: each.queue, HOLDS_SLOT) == {"few": 2}


def test_a_reclaimed_task_runs_no_more() -> None:
    lost = [
        entry(0, "a", "claimed", State.RUNNING),
        entry(1, "a", "reclaimed", State.PENDING),
        *ran("b", 1, 2),
    ]
    assert most_at_once(lost, lambda each: each.queue, RUNS) == {"few": 1}


@pytest.mark.parametrize("part", [1.0, 0.5])
def test_use_is_the_running_share_between_the_first_claim_and_the_last(part: float) -> None:
    both = [ran(f"{side}{n}", n, n + part) for n in range(5) for side in "ab"]
    assert used(feed(*both), "few", 2) == pytest.approx(part)
    assert used(feed(*both), "few", 4) == pytest.approx(part / 2)
    assert used(feed(*both), "other", 2) == 0


def test_even_starts_need_a_burst_of_one_and_use_a_rate_fully() -> None:
    assert at_once(RATE, EVENLY) == pytest.approx(1)
    assert fullest(RATE, EVENLY) == RATE.count
    assert share(RATE, EVENLY, 2) == pytest.approx((20 - RATE.burst) / 20)
    assert share(RATE, [], 2) == 0


def test_a_burst_that_is_too_large_is_seen_wherever_it_is() -> None:
    allowed = sorted([*EVENLY, EVENLY[20]])
    assert at_once(RATE, allowed) == pytest.approx(2)
    assert fullest(RATE, allowed) == RATE.count + 1
    too_many = sorted([*EVENLY, EVENLY[20], EVENLY[20]])
    assert at_once(RATE, too_many) > RATE.burst


def test_a_rate_that_is_a_little_too_high_is_seen_before_a_window_is_too_full() -> None:
    """21 in two seconds break no window of a second, and not what a burst of one allows."""
    faster = [number * 95_000 for number in range(40)]
    assert fullest(RATE, faster) <= RATE.count + RATE.burst
    assert at_once(RATE, faster) > RATE.burst


def test_unused_time_counts_against_the_share() -> None:
    halted = [at for at in EVENLY if not SECOND <= at < 2 * SECOND]
    assert share(RATE, halted, 4) == pytest.approx((30 - RATE.burst) / 40)
