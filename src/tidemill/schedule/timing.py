"""When a schedule fires: by cron expression, at intervals, or once."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Protocol

import msgspec

from tidemill import cron
from tidemill.clock import from_micros, micros, to_micros
from tidemill.errors import InvalidSchedule

SHORTEST_PERIOD = timedelta(seconds=1)


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """At the instants of a five-field expression in a time zone; see `tidemill.cron`."""

    expression: str
    timezone: str = "UTC"


class Every(msgspec.Struct, frozen=True, tag="every"):
    """At `since + k * period` for k = 1, 2, …, where `since` is the schedule's.

    Each is later by up to `jitter`, always the same for a schedule's name and k: schedules with one
    period spread, and every scheduler works out the same instants.
    """

    period: timedelta
    jitter: timedelta = timedelta()


class Once(msgspec.Struct, frozen=True, tag="once"):
    """At one instant."""

    at: datetime


Timing = Cron | Every | Once


class Instants(Protocol):
    """A rising series of instants."""

    def next(self, after: datetime) -> datetime | None:
        """The first one later than `after`."""
        ...

    def count(self, after: datetime, until: datetime) -> int:
        """How many are later than `after` and not later than `until`; never one by one."""
        ...


def checked(timing: Timing) -> Timing:
    """The same timing, in UTC where it is an instant; raises `InvalidSchedule` if it cannot be."""
    match timing:
        case Cron(expression, timezone):
            cron.parse(expression, timezone)
        case Every(period, jitter):
            if period < SHORTEST_PERIOD:
                raise InvalidSchedule(
                    f"an interval is one second at least, not {period}", field="period"
                )
            if not timedelta() <= jitter < period:
                raise InvalidSchedule(
                    f"jitter is at least 0 and less than the period {period}, not {jitter}",
                    field="jitter",
                )
        case Once(at):
            return Once(in_utc(at, "at"))
    return timing


def in_utc(instant: datetime, field: str) -> datetime:
    """An aware instant in UTC; raises `InvalidSchedule` for a naive one."""
    if instant.tzinfo is None:
        raise InvalidSchedule(
            f"{field} {instant.isoformat()} has no time zone: use an aware datetime", field=field
        )
    return instant.astimezone(UTC)


def instants_of(timing: Timing, name: str, since: datetime) -> Instants:
    """The instants of a timing that was checked, for the schedule of this name."""
    match timing:
        case Cron(expression, timezone):
            return cron.parse(expression, timezone)
        case Every(period, jitter):
            return _Intervals(name, to_micros(since), micros(period), micros(jitter))
        case Once(at):
            return _Single(at)


@dataclass(frozen=True, slots=True)
class _Intervals:
    name: str
    since: int
    period: int
    jitter: int

    def next(self, after: datetime) -> datetime | None:
        try:
            return from_micros(self._at(self._rank(to_micros(after)) + 1))
        except OverflowError:  # beyond the calendar of datetime
            return None

    def count(self, after: datetime, until: datetime) -> int:
        return max(0, self._rank(to_micros(until)) - self._rank(to_micros(after)))

    def _at(self, k: int) -> int:
        return self.since + k * self.period + self._late(k)

    def _rank(self, instant: int) -> int:
        """How many are not later than an instant."""
        k = max(0, (instant - self.since) // self.period)
        return k - 1 if k and self._at(k) > instant else k

    def _late(self, k: int) -> int:
        if not self.jitter:
            return 0
        noise = blake2b(f"{self.name}:{k}".encode(), digest_size=8).digest()
        return int.from_bytes(noise, "big") * self.jitter >> 64


@dataclass(frozen=True, slots=True)
class _Single:
    at: datetime

    def next(self, after: datetime) -> datetime | None:
        return self.at if after < self.at else None

    def count(self, after: datetime, until: datetime) -> int:
        return int(after < self.at <= until)
