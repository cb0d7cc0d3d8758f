"""Queues."""

from datetime import datetime

import msgspec

from tidemill.task import State


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A queue and its limits; null does not restrict, `lease` is in seconds.

    `counts` are its tasks by status. `declared` when the application's code declares it; `changed`
    names the settings that an operator changed, which win over the code.
    """

    name: str
    paused: bool
    concurrency: int | None
    worker_concurrency: int | None
    rate: str | None
    burst: int | None
    capacity: int | None
    weight: int
    lease: float | None
    declared: bool
    changed: tuple[str, ...]
    counts: dict[State, int]
    oldest_pending_at: datetime | None


class QueuesRecord(msgspec.Struct, frozen=True):
    """All queues by name."""

    queues: tuple[QueueRecord, ...]


class QueueStatsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A queue now. Counts are of the tasks that are still kept.

    `queue_size` tasks wait, of at most `queue_capacity`. `oldest_age` is for how many seconds the
    longest-waiting pending task has been due; `throughput` is tasks ended per second over the last
    five minutes, and `empty_in` how many seconds the pending ones last at that rate.
    """

    name: str
    paused: bool
    pending: int
    scheduled: int
    blocked: int
    running: int
    completed: int
    failed: int
    cancelled: int
    queue_size: int
    queue_capacity: int | None
    concurrency: int | None
    rate: str | None
    weight: int
    oldest_age: float | None
    throughput: float
    empty_in: float | None


class PurgeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A purge of what was submitted until `until`: so many waited, so many were cancelled."""

    until: datetime
    dry_run: bool
    waiting: int
    cancelled: int
