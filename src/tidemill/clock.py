"""The only callers of the system's time, and the conversions between its forms.

Inside engines an instant is an integer: microseconds since 1970-01-01 UTC. Everywhere a
person reads it, it is an aware UTC `datetime`. Durations are `timedelta`, integers of
microseconds inside engines.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time of day; what it answers may be persisted and compared between machines."""

    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock. It may step backwards; whoever stores instants must guard."""

    def now(self) -> int:
        return time.time_ns() // 1_000


class VirtualClock:
    """A clock that moves only when told, for tests: no test has to wait.

    >>> clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    >>> clock.advance(timedelta(hours=1))
    >>> from_micros(clock.now()).hour
    1
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = to_micros(start)

    def now(self) -> int:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move forward by a duration, which must not be negative."""
        if by < timedelta(0):
            raise ValueError(f"a virtual clock only moves forward, not by {by}")
        self._now += micros(by)


def to_micros(instant: datetime) -> int:
    """An aware datetime as microseconds since the epoch, exact; naive ones raise ValueError."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone; use an aware datetime")
    return (instant - EPOCH) // MICROSECOND


def from_micros(instant: int) -> datetime:
    """Microseconds since the epoch as an aware UTC datetime, exact."""
    return EPOCH + timedelta(microseconds=instant)


def micros(duration: timedelta) -> int:
    """A duration as whole microseconds, exact."""
    return duration // MICROSECOND


def duration(value: timedelta | float) -> timedelta:
    """A duration given as `timedelta` or as a number of seconds."""
    return value if isinstance(value, timedelta) else timedelta(seconds=value)
