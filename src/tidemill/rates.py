"""How fast a queue may start tasks: the generic cell rate algorithm as a leaky bucket.

Source: ITU-T Recommendation I.371, "Traffic control and congestion control in B-ISDN", which gives
the algorithm both as virtual scheduling and as a leaky bucket and shows that they agree. The bucket
needs no division on the way in, so that it is exact in integers, also where those are doubles: each
start pours `per` microseconds in, and `count` flow out each microsecond.
"""

from datetime import timedelta

import msgspec

MOST_OWED = 1 << 53
"""What a bucket may hold: every whole number up to it is a double of its own."""


class Rate(msgspec.Struct, frozen=True):
    """At most `count` starts in each `per`, evenly, and `burst` at once after a pause.

    No stretch of length `per` sees more than `count + burst` starts.
    """

    count: int
    per: timedelta
    burst: int

    @property
    def cell(self) -> int:
        """What one start pours into the bucket: the microseconds of `per`."""
        return self.per // timedelta(microseconds=1)


class Bucket(msgspec.Struct, frozen=True):
    """What was owed `at` an instant, in microseconds since 1970."""

    owed: int = 0
    at: int = 0


EMPTY = Bucket()


def owed(rate: Rate, bucket: Bucket, now: int) -> int:
    """What is still owed now."""
    return max(0, bucket.owed - max(0, now - bucket.at) * rate.count)


def allowed(rate: Rate, bucket: Bucket, now: int) -> int:
    """How many tasks may start now."""
    return max(0, (rate.burst * rate.cell - owed(rate, bucket, now)) // rate.cell)


def spent(rate: Rate, bucket: Bucket, now: int, started: int) -> Bucket:
    """The bucket after so many starts."""
    return Bucket(owed(rate, bucket, now) + started * rate.cell, now)


def next_in(rate: Rate, bucket: Bucket, now: int) -> int:
    """Microseconds until the next task may start; 0 when one may now."""
    over = owed(rate, bucket, now) - (rate.burst - 1) * rate.cell
    return max(0, -(-over // rate.count))
