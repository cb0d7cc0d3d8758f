"""One timer for all deadlines of a loop.

A timer object for each task costs 10-26 µs (`asyncio.timeout`, `asyncio.wait_for`). Here a deadline
is an entry of a dictionary, in a bucket of `RESOLUTION` seconds; only the earliest bucket has a
timer. After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987 (scheme 2, with
buckets for instants).
"""

import asyncio
import heapq
from collections.abc import Callable

RESOLUTION = 0.02

Place = tuple[int, int]


class Deadlines:
    """Calls back at deadlines, at most `RESOLUTION` late and never early. For one loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, dict[int, Callable[[], None]]] = {}
        self._order: list[int] = []
        self._made = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timed = 0

    def add(self, after: float, ring: Callable[[], None]) -> Place:
        """Call `ring` once in `after` seconds, unless it is removed before."""
        bucket = int((self._loop.time() + after) / RESOLUTION) + 1
        self._made += 1
        if bucket not in self._buckets:
            self._buckets[bucket] = {}
            heapq.heappush(self._order, bucket)
            if self._timer is None or bucket < self._timed:
                self._set_timer(bucket)
        self._buckets[bucket][self._made] = ring
        return bucket, self._made

    def remove(self, place: Place) -> None:
        """Forget a deadline; one that has rung is forgotten already."""
        bucket, entry = place
        entries = self._buckets.get(bucket)
        if entries is not None:
            entries.pop(entry, None)
            if not entries:
                del self._buckets[bucket]

    def close(self) -> None:
        """Forget all deadlines."""
        self._buckets.clear()
        self._order.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, bucket: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timed = bucket
        self._timer = self._loop.call_at(bucket * RESOLUTION, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        due: list[Callable[[], None]] = []
        while self._order:
            bucket = self._order[0]
            if bucket in self._buckets and bucket * RESOLUTION > now:
                self._set_timer(bucket)
                break
            heapq.heappop(self._order)
            due += self._buckets.pop(bucket, {}).values()
        for ring in due:
            ring()
