"""Backoff: the waits that the specifications name, and what holds for every backoff."""

import doctest
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill import backoff
from tidemill.backoff import Backoff, exponential, fixed, linear, polynomial, quadratic
from tidemill.errors import ConfigError

SECONDS = st.floats(0, 1e6)
CAPS = st.timedeltas(timedelta(0), timedelta(days=400))
ATTEMPTS = st.one_of(st.integers(1, 60), st.integers(1, 10**6))


@st.composite
def backoffs(draw: st.DrawFn) -> Backoff:
    kind = draw(st.sampled_from(["exponential", "polynomial", "fixed"]))
    if kind == "exponential":
        return exponential(draw(SECONDS), draw(st.floats(1, 100)), cap=draw(CAPS))
    if kind == "polynomial":
        return polynomial(draw(st.floats(0, 60)), draw(SECONDS), cap=draw(CAPS))
    return fixed(draw(SECONDS))


def waits(rule: Backoff, count: int = 3) -> list[float]:
    return [rule.delay(attempt).total_seconds() for attempt in range(1, count + 1)]


def test_the_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(backoff)
    assert result.attempted > 0
    assert result.failed == 0


def test_quadratic_waits_1_4_9_seconds() -> None:
    assert waits(quadratic()) == [1, 4, 9]


def test_exponential_starts_with_the_initial_wait_and_stops_at_the_cap() -> None:
    assert waits(exponential(1, 2, cap=60), 8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_linear_grows_by_its_step() -> None:
    assert waits(linear(timedelta(minutes=1))) == [60, 120, 180]


def test_fixed_stays_the_same_however_long_it_is() -> None:
    assert waits(fixed(timedelta(days=3))) == [3 * 86400] * 3


@settings(deadline=None)
@given(backoffs(), ATTEMPTS, st.integers(0, 1000))
def test_the_wait_never_falls_and_never_passes_the_cap(
    rule: Backoff, attempt: int, later: int
) -> None:
    assert timedelta(0) <= rule.delay(attempt) <= rule.delay(attempt + later) <= rule.cap


@pytest.mark.parametrize("attempt", [10**6, 10**400])
@pytest.mark.parametrize("rule", [exponential(1), polynomial(400, 1), quadratic(1e6)])
def test_a_huge_attempt_number_waits_for_the_cap(rule: Backoff, attempt: int) -> None:
    assert rule.delay(attempt) == rule.cap


def test_no_wait_stays_no_wait() -> None:
    assert exponential(0).delay(10**6) == timedelta(0)


@settings(deadline=None)
@given(backoffs(), ATTEMPTS, st.floats(0, 1, exclude_max=True))
def test_full_jitter_scales_the_capped_wait(rule: Backoff, attempt: int, drawn: float) -> None:
    jittered = Backoff(
        unit=rule.unit, multiplier=rule.multiplier, power=rule.power, cap=rule.cap, jitter=True
    )
    assert jittered.delay(attempt, lambda: drawn) == rule.delay(attempt) * drawn


def test_full_jitter_is_spread_evenly_from_nothing_to_the_wait() -> None:
    rule = fixed(100, jitter=True)
    drawn = [rule.delay(1).total_seconds() for _ in range(4000)]
    quarters = [sum(low <= wait < low + 25 for wait in drawn) for low in (0, 25, 50, 75)]
    # 1,000 each is expected; 800 is more than seven standard deviations away.
    assert sum(quarters) == 4000
    assert min(quarters) > 800


def test_without_jitter_no_chance_is_involved() -> None:
    def unexpected() -> float:
        raise AssertionError

    assert fixed(1).delay(1, unexpected) == timedelta(seconds=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"unit": timedelta(seconds=-1)},
        {"unit": timedelta(1), "cap": timedelta(seconds=-1)},
        {"unit": timedelta(1), "multiplier": 0.5},
        {"unit": timedelta(1), "multiplier": float("nan")},
        {"unit": timedelta(1), "power": -1},
        {"unit": timedelta(1), "power": float("inf")},
    ],
)
def test_a_backoff_that_shrinks_or_is_not_a_number_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Backoff(**arguments)  # type: ignore[arg-type] # a wrong value in each of the fields in turn
