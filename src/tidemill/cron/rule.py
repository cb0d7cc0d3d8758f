"""The instants of a cron expression in a time zone.

The way through time is ours, not that of `cronsim`, which up to 2.8 leaves out times after a change
of half an hour (`*/10 3 * * *` in Australia/Lord_Howe begins at 03:30 on such a day), goes back in
time when asked from within a fold, and walks minute by minute. Here each stretch of one offset is
one subtraction.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from tidemill.clock import EPOCH, to_micros
from tidemill.cron.days import LAST_YEAR, day_from, days_between, to_day
from tidemill.cron.expression import Reading, read
from tidemill.cron.stretches import DAY, Stretch, check_zone, stretches_from

_MINUTE = 60
_END = to_day(date(LAST_YEAR + 1, 1, 1)) * DAY


@dataclass(frozen=True, slots=True)
class CronRule:
    """The instants of an expression in a zone; made by `parse`.

    What goes in is aware, what comes out is UTC. Nothing happens before 1970 or after 9998.
    """

    expression: str
    timezone: str
    reading: Reading

    def next(self, after: datetime) -> datetime | None:
        """The first instant later than `after`; None at the end of the calendar."""
        found = self._next(_second(after))
        return None if found is None else EPOCH + timedelta(seconds=found)

    def instants(self, after: datetime) -> Iterator[datetime]:
        """All instants later than `after`, in order."""
        found = self._next(_second(after))
        while found is not None:
            yield EPOCH + timedelta(seconds=found)
            found = self._next(found)

    def count(self, after: datetime, until: datetime) -> int:
        """How many instants are later than `after` and not later than `until`.

        They are counted by months and stretches, not one by one.
        """
        begin, end = _second(after) + 1, _second(until) + 1
        total = 0
        for stretch in stretches_from(self.timezone, begin):
            if stretch.start >= end:
                break
            start = max(begin, stretch.start)
            opening = self._opening(stretch, start)
            total += self._matches(opening, min(end, stretch.end) + stretch.offset)
            together = self._matches(opening, start + stretch.offset + 1)
            total -= max(0, together - 1)
        return total

    def _next(self, after: int) -> int | None:
        for stretch in stretches_from(self.timezone, after + 1):
            start = max(after + 1, stretch.start)
            wall = self._match_from(self._opening(stretch, start))
            if wall is None:
                break
            if wall < stretch.end + stretch.offset:
                return max(wall - stretch.offset, stretch.start)
        return None

    def _opening(self, stretch: Stretch, start: int) -> int:
        """The wall's time from which on matches happen at `start` or later in its stretch."""
        if not self.reading.times_of_day:
            return start + stretch.offset
        if start == stretch.start:
            return stretch.shown
        return max(start + stretch.offset, stretch.shown)

    def _match_from(self, wall: int) -> int | None:
        """The first match at this time of the wall or later."""
        today, second = divmod(wall, DAY)
        day = day_from(self.reading.days, today)
        if day == today:
            minute = self._minute_from(-(-second // _MINUTE))
            if minute is not None:
                return today * DAY + minute * _MINUTE
            day = day_from(self.reading.days, today + 1)
        if day is None:
            return None
        return day * DAY + (self.reading.hours[0] * 60 + self.reading.minutes[0]) * _MINUTE

    def _minute_from(self, minute: int) -> int | None:
        """The first minute of the day that matches, this one or later."""
        hours, minutes = self.reading.hours, self.reading.minutes
        hour, minute = divmod(minute, 60)
        at = bisect_left(hours, hour)
        if at < len(hours) and hours[at] == hour:
            if minute <= minutes[-1]:
                return hour * 60 + minutes[bisect_left(minutes, minute)]
            at += 1
        return hours[at] * 60 + minutes[0] if at < len(hours) else None

    def _matches(self, begin: int, end: int) -> int:
        """How many matches a clock shows from `begin` to before `end`."""
        if begin >= end:
            return 0
        (first, skipped), (last, taken) = divmod(begin, DAY), divmod(end, DAY)
        days = self.reading.days
        whole = days_between(days, first, last) * len(self.reading.hours)
        total = whole * len(self.reading.minutes)
        total -= days_between(days, first, first + 1) * self._before(skipped)
        return total + days_between(days, last, last + 1) * self._before(taken)

    def _before(self, second: int) -> int:
        """How many matches of a day are before this second of it."""
        hours, minutes = self.reading.hours, self.reading.minutes
        hour, minute = divmod(-(-second // _MINUTE), 60)
        at = bisect_left(hours, hour)
        here = bisect_left(minutes, minute) if hour in hours else 0
        return at * len(minutes) + here


def _second(instant: datetime) -> int:
    """The second that an instant is in; all before 1970 is one, and so is all after 9998."""
    return min(max(to_micros(instant) // 1_000_000, -1), _END)


@lru_cache(maxsize=16_384)
def parse(expression: str, timezone: str = "UTC") -> CronRule:
    """Read an expression; raises `InvalidSchedule`, also for one that never fires.

    The work is bounded, whatever the text. What was read is kept.
    """
    check_zone(timezone)
    return CronRule(expression, timezone, read(expression))
