"""Clocks and the conversions between instants, durations and integers."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.clock import (
    SystemClock,
    VirtualClock,
    duration,
    from_micros,
    micros,
    to_micros,
)

INSTANTS = st.datetimes(timezones=st.just(UTC))


@given(INSTANTS)
def test_an_instant_survives_the_way_through_microseconds_exactly(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant
    assert from_micros(to_micros(instant)).tzinfo is UTC


@given(INSTANTS, INSTANTS)
def test_microseconds_order_as_instants_do(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) == (one < other)


def test_the_epoch_is_zero() -> None:
    assert to_micros(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert to_micros(datetime(2026, 1, 1, 8, tzinfo=shanghai)) == to_micros(
        datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-01-01T00:00:00 has no time zone"):
        to_micros(datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


@given(st.timedeltas())
def test_a_duration_survives_the_way_through_microseconds_exactly(length: timedelta) -> None:
    assert timedelta(microseconds=micros(length)) == length


def test_a_duration_may_be_a_number_of_seconds() -> None:
    assert duration(90) == duration(90.0) == duration(timedelta(minutes=1.5))
    assert duration(0.000_001) == timedelta(microseconds=1)


def test_a_virtual_clock_moves_only_when_told() -> None:
    clock = VirtualClock(datetime(2026, 5, 4, tzinfo=UTC))
    before = clock.now()
    assert clock.now() == before == to_micros(datetime(2026, 5, 4, tzinfo=UTC))
    clock.advance(timedelta(hours=1, microseconds=1))
    assert clock.now() - before == 3_600_000_001


def test_a_virtual_clock_never_moves_back() -> None:
    clock = VirtualClock()
    before = clock.now()
    with pytest.raises(ValueError, match="only moves forward"):
        clock.advance(timedelta(microseconds=-1))
    assert clock.now() == before


def test_the_system_clock_tells_the_time_of_day_in_microseconds() -> None:
    before = time.time_ns()
    told = SystemClock().now()
    assert before // 1_000 <= told <= time.time_ns() // 1_000
