"""The days that a cron expression chooses.

They are named by the text of its last three fields, so that the many expressions that say `* * *`
share one table. `cronsim` judges each date once. Days are counted from 1970, months from year 0.
"""

from bisect import bisect_left
from datetime import date, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim

from tidemill.clock import EPOCH

LAST_YEAR = 9_998
"""The calendar of `datetime` ends a year later."""

_EPOCH_DAY = EPOCH.toordinal()
_ANY_YEARS = range(2000 * 12, 2028 * 12)
"""Months of every kind of year, leap or not, beginning on every weekday: no other day exists."""


def to_day(when: date) -> int:
    """A date as a day counted from 1970."""
    return when.toordinal() - _EPOCH_DAY


def any_day(days: str) -> bool:
    """Whether the fields choose any day at all."""
    return any(_chosen(days, month) for month in _ANY_YEARS)


def day_from(days: str, day: int) -> int | None:
    """The first day that the fields choose, this one or later; None after the last year."""
    start = date.fromordinal(day + _EPOCH_DAY)
    wanted = start.day
    for month in range(_month(start), (LAST_YEAR + 1) * 12):
        chosen = _chosen(days, month)
        if chosen and wanted <= chosen[-1]:
            first = date(month // 12, month % 12 + 1, 1)
            return to_day(first) - 1 + chosen[bisect_left(chosen, wanted)]
        wanted = 1
    return None


def days_between(days: str, begin: int, end: int) -> int:
    """How many days the fields choose from `begin` to before `end`."""
    first, last = (date.fromordinal(day + _EPOCH_DAY) for day in (begin, end))
    whole = sum(len(_chosen(days, month)) for month in range(_month(first), _month(last)))
    early = bisect_left(_chosen(days, _month(first)), first.day)
    return whole - early + bisect_left(_chosen(days, _month(last)), last.day)


def _month(when: date) -> int:
    return when.year * 12 + when.month - 1


@lru_cache(maxsize=1_024)
def _calendar(days: str) -> CronSim:
    return CronSim(f"0 0 {days}", datetime(2000, 1, 1))  # noqa: DTZ001  # it judges dates only


@lru_cache(maxsize=8_192)
def _chosen(days: str, month: int) -> tuple[int, ...]:
    """The days of a month, from 1, that the fields choose."""
    calendar, first = _calendar(days), date(month // 12, month % 12 + 1, 1)
    if first.month not in calendar.months:
        return ()
    dates = (first + timedelta(days=each) for each in range(31))
    return tuple(
        each.day for each in dates if each.month == first.month and calendar.match_day(each)
    )
