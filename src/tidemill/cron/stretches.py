"""Time zones, cut into stretches of one offset, in each of which the wall's clock just runs on.

Everything is in seconds since 1970; a wall's time is counted as if it were UTC.
"""

import difflib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache, partial
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from tidemill.clock import EPOCH
from tidemill.cron.days import LAST_YEAR, to_day
from tidemill.errors import InvalidSchedule

DAY = 86_400

_LONGEST_NAME = 64
_STEP = 2 * DAY
"""Changes of one zone since 1970 are more than six days apart (Gaza), so a step has at most one."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `start` to before `end` the wall shows UTC + `offset`.

    Before it, it had come as far as `shown`: further than start + offset after a fold, less far
    after a gap.
    """

    start: int
    end: int
    offset: int
    shown: int


def check_zone(timezone: str) -> None:
    """Refuse what is no zone, and the one that is another on each machine."""
    try:
        if timezone == "localtime" or len(timezone) > _LONGEST_NAME:
            raise ValueError(timezone)
        ZoneInfo(timezone)
    except (LookupError, OSError, ValueError):
        given = timezone[:_LONGEST_NAME]
        close = difflib.get_close_matches(given, available_timezones() - {"localtime"}, 1)
        hint = f"did you mean {close[0]}?" if close else "use a name such as Europe/Berlin"
        reason = f"no time zone is called {given!r}: {hint}"
        raise InvalidSchedule(reason, field="timezone") from None


def stretches_from(timezone: str, second: int) -> Iterator[Stretch]:
    """The stretches of a zone in order, from the one that a second is in."""
    year = (EPOCH + timedelta(seconds=second)).year
    if year <= LAST_YEAR:
        yield from (each for each in _stretches(timezone, year) if second < each.end)
    for later in range(year + 1, LAST_YEAR + 1):
        yield from _stretches(timezone, later)


@lru_cache(maxsize=4_096)
def _stretches(timezone: str, year: int) -> tuple[Stretch, ...]:
    """The stretches of a year of UTC; its ends cut them."""
    zone = ZoneInfo(timezone)
    first, end = (to_day(date(each, 1, 1)) * DAY for each in (year, year + 1))
    begin = first - _STEP  # what a fold just before the year repeats was shown too
    shown = begin + _offset(zone, begin)
    made = []
    for start, stop in pairwise([begin, *_changes(zone, begin, end), end]):
        offset = _offset(zone, start)
        if start >= first:
            made.append(Stretch(start, stop, offset, shown))
        elif stop > first:
            made.append(Stretch(first, stop, offset, max(shown, first + offset)))
        shown = stop + offset
    return tuple(made)


def _changes(zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """The seconds later than `begin` and before `end` at which another offset begins."""
    for start, stop in pairwise([*range(begin, end, _STEP), end - 1]):
        before = _offset(zone, start)
        if _offset(zone, stop) != before:
            changed = partial(_differs, zone, before)
            yield start + bisect_left(range(start, stop), 1, key=changed)


def _differs(zone: ZoneInfo, offset: int, second: int) -> bool:
    return _offset(zone, second) != offset


def _offset(zone: ZoneInfo, second: int) -> int:
    there = (EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if there is None else there // timedelta(seconds=1)
