"""The three kinds of timing."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest

from tests.schedule.samples import NOW
from tidemill.errors import InvalidSchedule
from tidemill.schedule import Cron, Every, Once, Timing, checked
from tidemill.schedule.timing import Instants, instants_of

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def first(series: Instants, n: int, after: datetime = NOW) -> list[datetime]:
    found: list[datetime] = []
    while len(found) < n and (at := series.next(found[-1] if found else after)):
        found.append(at)
    return found


def test_an_interval_counts_from_since_and_leaves_since_itself_out() -> None:
    series = instants_of(Every(5 * MINUTE), "s", NOW)
    assert first(series, 3, NOW - timedelta(days=9)) == [NOW + k * 5 * MINUTE for k in (1, 2, 3)]
    assert series.next(NOW + 5 * MINUTE) == NOW + 10 * MINUTE
    assert series.next(NOW + 5 * MINUTE - timedelta(microseconds=1)) == NOW + 5 * MINUTE


def test_an_interval_of_a_second_is_found_a_century_later_by_arithmetic() -> None:
    series = instants_of(Every(SECOND, SECOND * 0.5), "s", NOW)
    later = NOW + timedelta(days=36_500)
    found = series.next(later)
    assert found is not None
    assert later < found < later + 2 * SECOND
    assert series.count(NOW, later) in range(36_500 * 86_400 - 1, 36_500 * 86_400 + 1)


@pytest.mark.parametrize("seed", range(20))
def test_jitter_delays_each_instant_by_less_than_itself_and_keeps_their_order(seed: int) -> None:
    random = Random(seed)
    period = timedelta(seconds=random.randint(1, 5_000))
    jitter = period - random.choice([timedelta(microseconds=1), period * random.random()])
    found = first(instants_of(Every(period, jitter), f"s{seed}", NOW), 300)
    assert all(before < after for before, after in pairwise(found))
    late = [at - (NOW + k * period) for k, at in enumerate(found, 1)]
    assert all(timedelta() <= each <= jitter for each in late)
    assert max(late) - min(late) > jitter * 0.9


def test_jitter_is_the_same_for_a_name_and_another_for_another() -> None:
    timing = Every(timedelta(hours=1), timedelta(minutes=30))
    assert first(instants_of(timing, "a", NOW), 9) == first(instants_of(timing, "a", NOW), 9)
    assert first(instants_of(timing, "a", NOW), 9) != first(instants_of(timing, "b", NOW), 9)


def test_jitter_never_changes_between_versions() -> None:
    """Nodes of two versions share a store during a deploy, and must find the same instants."""
    series = instants_of(Every(timedelta(hours=1), timedelta(minutes=30)), "nightly", NOW)
    late = [at - NOW - k * timedelta(hours=1) for k, at in enumerate(first(series, 3), 1)]
    assert [each / SECOND for each in late] == [1712.607948, 1208.416633, 428.277653]


@pytest.mark.parametrize("seed", range(20))
def test_an_interval_counts_as_many_as_it_names(seed: int) -> None:
    random = Random(seed)
    period = timedelta(seconds=random.randint(1, 500))
    series = instants_of(Every(period, period * random.random() * 0.99), "s", NOW)
    named = first(series, 200)
    for _ in range(50):
        after, until = (NOW + period * random.uniform(-3, 190) for _ in range(2))
        assert series.count(after, until) == sum(after < each <= until for each in named)
        after = random.choice(named[:-1])
        assert series.next(after) == named[named.index(after) + 1]


def test_an_interval_beyond_the_calendar_never_comes() -> None:
    assert instants_of(Every(timedelta.max), "s", NOW).next(NOW) is None


def test_once_happens_once() -> None:
    series = instants_of(Once(NOW), "s", NOW - MINUTE)
    assert series.next(NOW - SECOND) == NOW
    assert series.next(NOW) is None
    assert (series.count(NOW - SECOND, NOW), series.count(NOW, NOW + SECOND)) == (1, 0)
    assert series.count(NOW - MINUTE, NOW - SECOND) == 0


def test_once_is_kept_in_utc() -> None:
    there = datetime(2026, 1, 1, 8, tzinfo=ZoneInfo("Asia/Shanghai"))
    made = checked(Once(there))
    assert made == Once(datetime(2026, 1, 1, tzinfo=UTC))
    assert isinstance(made, Once)
    assert made.at.tzinfo is UTC


@pytest.mark.parametrize(
    ("timing", "field", "reason"),
    [
        (Cron("61 * * * *"), "minute", "minute 61 at column 0 is not in 0..59"),
        (Cron("* * * * *", "Mars"), "timezone", "no time zone is called 'Mars'"),
        (Every(timedelta(milliseconds=999)), "period", "one second at least, not 0:00:00.999"),
        (Every(-MINUTE), "period", "one second at least"),
        (Every(MINUTE, MINUTE), "jitter", "less than the period 0:01:00, not 0:01:00"),
        (Every(MINUTE, -SECOND), "jitter", "jitter is at least 0"),
        (Once(datetime(2026, 1, 1)), "at", "at 2026-01-01T00:00:00 has no time zone"),  # noqa: DTZ001
    ],
)
def test_a_timing_that_cannot_be_is_refused(timing: Timing, field: str, reason: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        checked(timing)
    assert caught.value.field == field
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "timing", [Cron("@daily", "Europe/Berlin"), Every(SECOND), Every(MINUTE, SECOND)]
)
def test_a_timing_that_can_be_is_answered_as_it_is(timing: Timing) -> None:
    assert checked(timing) == timing
