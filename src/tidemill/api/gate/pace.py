"""How often each caller asks, counted in this process.

`RateLimit` and `RateLimit-Policy` are as in draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from tidemill.access import Access
from tidemill.rates import EMPTY, Bucket, Rate, allowed, next_in, owed, spent

MOST: Final = 10_000
"""Callers that are counted at once."""

NO_WAIT: Final = timedelta()
_MICROSECONDS: Final = 1_000_000
Headers = list[tuple[bytes, bytes]]


class Pace:
    """The buckets of callers by their subject. `now` is in seconds and never falls."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._buckets: dict[str, tuple[Rate, Bucket]] = {}

    def count(self, access: Access) -> tuple[Headers, timedelta]:
        """Count one request, unless it has to wait; answers headers that tell it, and how long."""
        rate = access.rate
        if rate is None:
            return [], NO_WAIT
        now = int(self._now() * _MICROSECONDS)
        known, bucket = self._buckets.get(access.subject, (rate, EMPTY))
        if known != rate:
            bucket = EMPTY
        if not allowed(rate, bucket, now):
            wait = next_in(rate, bucket, now)
            return told(rate, 0, wait), timedelta(microseconds=wait)
        if len(self._buckets) >= MOST:
            self._forget(now)
        bucket = spent(rate, bucket, now, 1)
        self._buckets[access.subject] = (rate, bucket)
        return told(rate, allowed(rate, bucket, now), next_in(rate, bucket, now)), NO_WAIT

    def _forget(self, now: int) -> None:
        """Forget those who owe nothing: they are as if they had never asked."""
        self._buckets = {
            subject: (rate, bucket)
            for subject, (rate, bucket) in self._buckets.items()
            if owed(rate, bucket, now)
        }


def told(rate: Rate, left: int, wait: int) -> Headers:
    """The headers that tell a rate, what is left of it, and the microseconds to the next one."""
    window = math.ceil(rate.per.total_seconds())
    policy = f'"key";q={rate.count};w={window}'
    standing = f'"key";r={left};t={math.ceil(wait / _MICROSECONDS)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", standing.encode())]
