"""Stride scheduling: claims are shared between queues by weight, exactly and for ever."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tidemill.rotation import STRIDE, Shares, Turn, share

TURNS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.builds(
        Turn,
        passed=st.integers(0, 3 * STRIDE),
        weight=st.integers(1, 100),
        ready=st.integers(0, 12),
    ),
)


def keep_sharing(weights: dict[str, int], claims: int, limit: int) -> Counter[str]:
    """What each queue got of many claims while all of them always had more."""
    passed, now, got = dict.fromkeys(weights, 0), 0, Counter[str]()
    for _ in range(claims):
        shares = share({q: Turn(passed[q], w, limit) for q, w in weights.items()}, now, limit)
        passed |= shares.passed
        now = shares.now
        got.update(shares.take)
    return got


@given(TURNS, st.integers(0, 3 * STRIDE), st.integers(0, 40))
def test_nothing_is_left_over_and_nobody_gives_more_than_they_have(
    turns: dict[str, Turn], now: int, limit: int
) -> None:
    shares = share(turns, now, limit)
    assert sum(shares.take.values()) == min(limit, sum(turn.ready for turn in turns.values()))
    assert all(0 < taken <= turns[queue].ready for queue, taken in shares.take.items())
    assert set(shares.passed) == set(shares.take)


@given(TURNS, st.integers(0, 3 * STRIDE), st.integers(0, 40))
def test_passes_and_virtual_time_never_fall(turns: dict[str, Turn], now: int, limit: int) -> None:
    shares = share(turns, now, limit)
    assert shares.now >= now
    assert all(after > turns[queue].passed for queue, after in shares.passed.items())
    assert all(after > now for after in shares.passed.values())


@given(TURNS, st.integers(0, 3 * STRIDE), st.integers(0, 20))
def test_one_claim_of_many_takes_what_many_claims_of_one_take(
    turns: dict[str, Turn], now: int, limit: int
) -> None:
    whole = share(turns, now, limit)
    left, time, taken = dict(turns), now, Counter[str]()
    for _ in range(limit):
        step = share(left, time, 1)
        time = step.now
        for queue in step.take:
            taken[queue] += 1
            turn = left[queue]
            left[queue] = Turn(step.passed[queue], turn.weight, turn.ready - 1)
    assert taken == whole.take
    assert time == whole.now


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 10), min_size=1),
    st.integers(1, 7),
)
def test_queues_that_always_have_more_share_by_weight(weights: dict[str, int], limit: int) -> None:
    total = sum(weights.values())
    got = keep_sharing(weights, claims=20 * total, limit=limit)
    for queue, weight in weights.items():
        assert abs(got[queue] - 20 * limit * weight) <= len(weights)


def test_ties_go_by_name() -> None:
    turns = {name: Turn(0, 1, 5) for name in "cab"}
    assert share(turns, 0, 2).take == {"a": 1, "b": 1}


def test_queues_without_ready_tasks_keep_their_pass() -> None:
    shares = share({"a": Turn(7, 1, 0), "b": Turn(9, 1, 3)}, 0, 2)
    assert "a" not in shares.passed
    assert shares.take == {"b": 2}


def test_a_queue_that_was_empty_does_not_save_up_turns() -> None:
    now = 1_000 * STRIDE
    shares = share({"busy": Turn(now, 1, 10), "late": Turn(0, 1, 10)}, now, 10)
    assert shares.take == {"busy": 5, "late": 5}


def test_a_claim_of_nothing_changes_nothing() -> None:
    nothing = Shares(take={}, passed={}, now=5)
    assert share({}, 5, 10) == nothing
    assert share({"a": Turn(9, 1, 0)}, 5, 10) == nothing
    assert share({"a": Turn(9, 1, 3)}, 5, 0) == nothing
    assert share({"a": Turn(9, 1, 3), "b": Turn(9, 1, 3)}, 5, 0) == nothing
