"""Cron rules against an oracle that looks at every minute, around the changes of clocks.

`TIDEMILL_CRON_EXAMPLES` sets how many expressions are tried in each zone, then at random, in every
zone there is, and around the changes of any year; otherwise they are always the same ones.
"""

import os
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim

from tests.schedule.oracle import Minutes, chooser, happens, minutes
from tests.schedule.samples import expression
from tidemill.clock import EPOCH
from tidemill.cron import CronRule, parse
from tidemill.cron.stretches import _stretches
from tidemill.errors import InvalidSchedule

CAMPAIGN = int(os.environ.get("TIDEMILL_CRON_EXAMPLES", "0"))
EXAMPLES = CAMPAIGN or 30
NAMED = [
    "UTC",
    "Asia/Shanghai",  # summer time until 1991
    "Asia/Kathmandu",  # by 15 minutes in 1986
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # at midnight, until 2019
    "America/St_Johns",  # at one minute past midnight, until 2011
    "Australia/Lord_Howe",  # by 30 minutes
    "Africa/Casablanca",  # around Ramadan
    "Antarctica/Casey",  # by three hours, both ways
    "Pacific/Apia",  # without 30 December 2011
]
ZONES = sorted(available_timezones() - {"localtime"}) if CAMPAIGN else NAMED
YEARS = (
    list(range(1973, 2046))
    if CAMPAIGN
    else [1986, 1991, 1994, 2005, *range(2009, 2013), 2018, 2020, 2024, 2025, 2026, 2040]
)
DAYS = 3
DATES = [datetime(2000, 1, 1).date() + timedelta(days=each) for each in range(28 * 366)]  # noqa: DTZ001
HOUR = timedelta(hours=1)


@lru_cache(maxsize=128)
def changes(zone: str, year: int) -> list[datetime]:
    """About when the clocks of a zone change in a year."""
    there, start = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=UTC)
    quarters = (datetime(year + 1, 1, 1, tzinfo=UTC) - start) // (6 * HOUR)
    hours = [start + each * 6 * HOUR for each in range(quarters + 1)]
    offsets = [each.astimezone(there).utcoffset() for each in hours]
    pairs = zip(hours, pairwise(offsets), strict=False)
    return [hour for hour, (before, after) in pairs if before != after]


@lru_cache(maxsize=64)
def window(zone: str, start: datetime) -> Minutes:
    return minutes(zone, start, DAYS)


def some_window(random: Random, zone: str) -> Minutes:
    year = random.choice(YEARS)
    around = changes(zone, year)
    if around and random.random() < 0.9:
        return window(zone, random.choice(around) - timedelta(days=1.5))
    return window(zone, datetime(year, random.randint(1, 12), 27, tzinfo=UTC))


def rule_of(text: str, zone: str) -> CronRule | None:
    """The rule, or None where it never happens, which the oracle confirms."""
    try:
        return parse(text, zone)
    except InvalidSchedule as error:
        refusal = str(error)
    assert "never fires" in refusal, text
    assert not any(map(chooser(text), DATES)), text
    return None


@pytest.mark.parametrize("zone", ZONES)
def test_an_expression_fires_at_the_minutes_that_the_oracle_finds(zone: str) -> None:
    random = Random(None if CAMPAIGN else f"instants {zone}")
    fired = 0
    for _ in range(EXAMPLES):
        text, shown = expression(random), some_window(random, zone)
        rule = rule_of(text, zone)
        if rule is None:
            continue
        begin, end = shown[0][0], shown[-1][0] + timedelta(minutes=1)
        wanted = happens(text, shown)
        found = []
        for instant in rule.instants(begin - timedelta(microseconds=1)):
            if instant >= end:
                break
            found.append(instant)
        assert found == wanted, f"{text} in {zone} from {begin}"
        check_within(random, rule, wanted, begin, end)
        fired += len(wanted)
    assert CAMPAIGN or fired > EXAMPLES  # the examples are not about nothing


def check_within(
    random: Random, rule: CronRule, wanted: list[datetime], begin: datetime, end: datetime
) -> None:
    """Asked from anywhere, the rule goes on from there, and counts what lies between."""
    for _ in range(5):
        middle = begin + (end - begin) / 2  # about where clocks change
        width = random.choice([end - begin, 16 * HOUR])
        after, until = sorted(middle + random.uniform(-0.5, 0.5) * width for _ in range(2))
        after -= random.choice([timedelta(), timedelta(microseconds=after.microsecond)])
        behind = bisect_right(wanted, after)
        expected = bisect_right(wanted, until) - behind
        assert rule.count(after, until) == expected, (rule, after, until)
        if behind < len(wanted):
            assert rule.next(after) == wanted[behind], (rule, after)


def test_the_library_finds_the_same_where_clocks_never_change() -> None:
    random = Random(5)
    for _ in range(200):
        text = expression(random)
        rule = rule_of(text, "UTC")
        if rule is None:
            continue
        start = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
        theirs, ours = CronSim(text, start), rule.instants(start)
        assert [next(ours) for _ in range(20)] == [next(theirs) for _ in range(20)], text


@pytest.mark.parametrize("zone", [*ZONES, "Asia/Gaza", "America/Boa_Vista"])
def test_the_stretches_of_a_zone_change_when_its_clocks_do(zone: str) -> None:
    """Also where they change twice in a week."""
    for year in [*YEARS, 2000, 2054, 2072]:
        stretches = _stretches(zone, year)
        starts = [
            EPOCH + timedelta(seconds=after.start)
            for before, after in pairwise(stretches)
            if before.offset != after.offset
        ]
        about = changes(zone, year)
        assert len(starts) == len(about), (zone, year)
        pairs = zip(starts, about, strict=True)
        assert all(timedelta() < start - hour <= 6 * HOUR for start, hour in pairs)
