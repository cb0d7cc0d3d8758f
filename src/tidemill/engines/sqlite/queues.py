"""A queue's settings, its place in the rotation, and how many tasks it gives."""

from typing import Final

import msgspec

from tidemill.clock import MICROSECOND, micros
from tidemill.engine import QueueDefinition
from tidemill.rates import Bucket, Rate, allowed, next_in, spent

NO_LIMIT: Final = 1 << 62


class Queue(msgspec.Struct, array_like=True):
    """One row of `tidemill_queue`."""

    code: int
    name: str
    weight: int = 1
    lease: int | None = None
    concurrency: int | None = None
    worker_concurrency: int | None = None
    capacity: int | None = None
    rate_count: int | None = None
    rate_per: int | None = None
    rate_burst: int | None = None
    paused: int = 0
    passed: int = 0
    served: int = 0
    owed: int = 0
    owed_at: int = 0

    @property
    def limited(self) -> bool:
        """Whether it may give fewer tasks than are pending."""
        return (
            self.concurrency is not None
            or self.worker_concurrency is not None
            or self.rate_count is not None
        )

    @property
    def definition(self) -> QueueDefinition:
        """Its settings as they were given."""
        return QueueDefinition(
            self.name,
            weight=self.weight,
            lease=None if self.lease is None else self.lease * MICROSECOND,
            concurrency=self.concurrency,
            worker_concurrency=self.worker_concurrency,
            rate=self._rate,
            capacity=self.capacity,
        )

    @property
    def _rate(self) -> Rate | None:
        if self.rate_count is None or self.rate_per is None or self.rate_burst is None:
            return None
        return Rate(self.rate_count, self.rate_per * MICROSECOND, self.rate_burst)

    @property
    def _bucket(self) -> Bucket:
        return Bucket(self.owed, self.owed_at)

    def define(self, definition: QueueDefinition) -> None:
        """Change its settings; a changed rate begins anew."""
        rate = definition.rate
        if rate != self._rate:
            self.owed = self.owed_at = 0
        self.weight = definition.weight
        self.lease = None if definition.lease is None else micros(definition.lease)
        self.concurrency = definition.concurrency
        self.worker_concurrency = definition.worker_concurrency
        self.capacity = definition.capacity
        self.rate_count = None if rate is None else rate.count
        self.rate_per = None if rate is None else micros(rate.per)
        self.rate_burst = None if rate is None else rate.burst

    def gives(self, running: int, of_worker: int, now: int) -> int:
        """How many more tasks may start while so many run in all, and in the worker that asks."""
        rate = self._rate
        return max(
            0,
            min(
                _left(self.concurrency, running),
                _left(self.worker_concurrency, of_worker),
                NO_LIMIT if rate is None else allowed(rate, self._bucket, now),
            ),
        )

    def started(self, count: int, now: int) -> None:
        """So many of its tasks were started."""
        rate = self._rate
        if rate is not None:
            bucket = spent(rate, self._bucket, now, count)
            self.owed, self.owed_at = bucket.owed, bucket.at

    def opens_in(self, running: int, of_worker: int, now: int) -> int | None:
        """Microseconds until one more may start; None when that takes the end of another."""
        if min(_left(self.concurrency, running), _left(self.worker_concurrency, of_worker)) <= 0:
            return None
        rate = self._rate
        return 0 if rate is None else next_in(rate, self._bucket, now)


def _left(most: int | None, taken: int) -> int:
    return NO_LIMIT if most is None else most - taken


QUEUE: Final = f"json_array({', '.join(f'q.{name}' for name in Queue.__struct_fields__)})"
"""A queue `q` in SQL, as `Queue` is decoded."""
