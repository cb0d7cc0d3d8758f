"""How long a failed task waits for its next attempt.

Every backoff is one formula, `unit * multiplier ** (n - 1) * n ** power`, for the n-th attempt
that just failed, held under a cap:

>>> def waits(backoff):
...     return [backoff.delay(attempt).total_seconds() for attempt in range(1, 6)]
>>> waits(fixed(5))
[5.0, 5.0, 5.0, 5.0, 5.0]
>>> waits(linear(2))
[2.0, 4.0, 6.0, 8.0, 10.0]
>>> waits(quadratic())
[1.0, 4.0, 9.0, 16.0, 25.0]
>>> waits(exponential(1, cap=10))
[1.0, 2.0, 4.0, 8.0, 10.0]

Jitter spreads tasks that failed together, so that they do not come back together.
"""

import random as system_random
from collections.abc import Callable
from datetime import timedelta

import msgspec

from tidemill.clock import duration
from tidemill.errors import ConfigError

DAY = timedelta(days=1)


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """A rule for the wait before the next attempt; made by the functions of this module.

    They take durations as timedelta or seconds.
    `delay` never falls from one attempt to the next, unless jitter shortens it.
    """

    unit: timedelta
    multiplier: float = 1.0
    power: float = 0.0
    cap: timedelta = DAY
    jitter: bool = False

    def __post_init__(self) -> None:
        """Refuse what would wait less after each failure, or never end."""
        if self.unit < timedelta() or self.cap < timedelta():
            raise ConfigError(f"a backoff cannot be negative: unit {self.unit}, cap {self.cap}")
        if not 1 <= self.multiplier < float("inf"):
            raise ConfigError(f"a backoff's multiplier must be 1 or more: {self.multiplier}")
        if not 0 <= self.power < float("inf"):
            raise ConfigError(f"a backoff's power must be 0 or more: {self.power}")

    def delay(self, attempt: int, random: Callable[[], float] = system_random.random) -> timedelta:
        """Give the wait after attempt number `attempt` (1-based) has failed.

        With jitter it is "full jitter" of the AWS Architecture Blog, "Exponential Backoff And
        Jitter": uniform between nothing and the capped wait. `random` gives a float in [0, 1).
        """
        wait = min(self._growth(max(attempt, 1)), self.cap)
        return wait * random() if self.jitter else wait

    def _growth(self, attempt: int) -> timedelta:
        try:
            factor: float = self.multiplier ** (attempt - 1) * float(attempt) ** self.power
            return self.unit * factor
        except OverflowError:
            return self.cap if self.unit else self.unit


def exponential(
    initial: timedelta | float = 1.0,
    multiplier: float = 2.0,
    *,
    cap: timedelta | float = DAY,
    jitter: bool = False,
) -> Backoff:
    """Wait `initial` first, then `multiplier` times as long after each further failure."""
    return Backoff(unit=duration(initial), multiplier=multiplier, cap=duration(cap), jitter=jitter)


def polynomial(
    power: float,
    unit: timedelta | float = 1.0,
    *,
    cap: timedelta | float = DAY,
    jitter: bool = False,
) -> Backoff:
    """Wait `unit * n ** power` after the n-th failure."""
    return Backoff(unit=duration(unit), power=power, cap=duration(cap), jitter=jitter)


def quadratic(
    unit: timedelta | float = 1.0, *, cap: timedelta | float = DAY, jitter: bool = False
) -> Backoff:
    """Wait 1, 4, 9, 16, … times `unit`."""
    return polynomial(2, unit, cap=cap, jitter=jitter)


def linear(
    step: timedelta | float = 1.0, *, cap: timedelta | float = DAY, jitter: bool = False
) -> Backoff:
    """Wait 1, 2, 3, … times `step`."""
    return polynomial(1, step, cap=cap, jitter=jitter)


def fixed(delay: timedelta | float = 1.0, *, jitter: bool = False) -> Backoff:
    """Wait the same after every failure."""
    return Backoff(unit=duration(delay), cap=duration(delay), jitter=jitter)
