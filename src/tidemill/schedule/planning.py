"""What is due of a schedule, what was missed, and what comes next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from tidemill.clock import MICROSECOND
from tidemill.engine import Firing
from tidemill.ids import fire_id
from tidemill.schedule.definition import Misfire, Overlap, Schedule
from tidemill.schedule.timing import Instants, instants_of
from tidemill.task import Limit, NewTask, UniqueKey

FIRINGS_AT_ONCE = 1_000
"""A plan with so many firings takes in no more that are punctual; the next one goes on there."""

_FIRST_LOOK = timedelta(minutes=1)


class Plan(msgspec.Struct, frozen=True):
    """The firings that are due, in order, and the first instant that they leave.

    `next_at` is None when nothing ever comes (unless the definition changes). It is in the past
    where more is due than one plan holds.
    """

    firings: tuple[Firing, ...]
    next_at: datetime | None


def next_instant(schedule: Schedule, after: datetime) -> datetime | None:
    """The first instant later than `after`; None: never again, or paused."""
    return None if schedule.paused else _series(schedule).next(after)


def upcoming(schedule: Schedule, after: datetime, n: int) -> tuple[datetime, ...]:
    """The next `n` instants later than `after`, or as many as there are."""
    return () if schedule.paused else tuple(islice(_walk(_series(schedule), after), n))


def plan(schedule: Schedule, version: int | None, mark: datetime | None, now: datetime) -> Plan:
    """What to fire of all instants later than the mark and not later than now.

    The plan is the same wherever it is worked out, and one made after its firings were accepted
    begins behind them. However long nothing was planned, the work is bounded: what is dropped is
    counted, not walked through.
    """
    if schedule.paused:
        return Plan((), None)
    series = _series(schedule)
    begin = mark or schedule.since
    late_until = now - schedule.grace - MICROSECOND
    firings: list[Firing] = []
    at = series.next(begin)
    if at is not None and at <= late_until:
        firings = _late(schedule, version, series, begin, late_until)
        at = series.next(late_until)
    while at is not None and at <= now and len(firings) < FIRINGS_AT_ONCE:
        firings.append(Firing(schedule.name, at, fired_task(schedule, at), version))
        at = series.next(at)
    return Plan(tuple(firings), at)


def fired_task(schedule: Schedule, at: datetime) -> NewTask:
    """The task that a schedule fires at an instant."""
    task, key = schedule.task, f"schedule:{schedule.name}"
    headers = {"schedule": schedule.name, "fire_at": at.isoformat().replace("+00:00", "Z")}
    return msgspec.structs.replace(
        task,
        id=fire_id(schedule.name, at, task.queue),
        headers=task.headers | headers,
        expires_at=None if schedule.expires is None else at + schedule.expires,
        unique=UniqueKey(key) if schedule.overlap is Overlap.SKIP else task.unique,
        limit=Limit(key, 1) if schedule.overlap is Overlap.QUEUE else task.limit,
    )


def _late(
    schedule: Schedule, version: int | None, series: Instants, begin: datetime, until: datetime
) -> list[Firing]:
    """The firings of what is late by policy, after a record of what is dropped."""
    total = series.count(begin, until)
    kept = min(total, _allowed(schedule))
    late = _latest(series, begin, until, min(total, kept + 1))
    firings = []
    if total > kept:
        firings.append(Firing(schedule.name, late.pop(0), None, version, total - kept))
    firings += (Firing(schedule.name, at, fired_task(schedule, at), version) for at in late)
    return firings


def _allowed(schedule: Schedule) -> int:
    match schedule.misfire:
        case Misfire.SKIP:
            return 0
        case Misfire.ONCE:
            return 1
        case Misfire.ALL:
            return schedule.misfire_limit


def _latest(series: Instants, begin: datetime, until: datetime, n: int) -> list[datetime]:
    """The latest `n` instants of a range that has as many, in order.

    It looks back from the end four times further each time, until there are enough.
    """
    look, start = _FIRST_LOOK * n, begin
    while until - begin > look:
        if series.count(until - look, until) >= n:
            start = until - look
            break
        look *= 4
    skipped = series.count(start, until) - n
    return list(islice(_walk(series, start), skipped, skipped + n))


def _walk(series: Instants, after: datetime) -> Iterator[datetime]:
    at = series.next(after)
    while at is not None:
        yield at
        at = series.next(at)


def _series(schedule: Schedule) -> "_Bounded":
    floor = schedule.since
    if schedule.starts_at is not None:
        floor = max(floor, schedule.starts_at - MICROSECOND)
    timing = instants_of(schedule.timing, schedule.name, schedule.since)
    return _Bounded(timing, floor, schedule.ends_at)


@dataclass(frozen=True, slots=True)
class _Bounded:
    """The instants later than `floor` and before `end`."""

    instants: Instants
    floor: datetime
    end: datetime | None

    def next(self, after: datetime) -> datetime | None:
        at = self.instants.next(max(after, self.floor))
        return None if at is None or (self.end is not None and at >= self.end) else at

    def count(self, after: datetime, until: datetime) -> int:
        last = until if self.end is None else min(until, self.end - MICROSECOND)
        return self.instants.count(max(after, self.floor), last)
