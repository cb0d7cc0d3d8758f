"""Queues."""

import hashlib
from datetime import datetime

import msgspec

from tidemill.api.records.values import seconds
from tidemill.app.queues import Purged, QueueInfo
from tidemill.queue import rate_text
from tidemill.statistics import QueueStatistics
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


def queue_record(info: QueueInfo) -> QueueRecord:
    """A queue as it stands."""
    told = info.definition
    return QueueRecord(
        name=info.name,
        paused=info.paused,
        concurrency=told.concurrency,
        worker_concurrency=told.worker_concurrency,
        rate=rate_text(told.rate) if told.rate else None,
        burst=told.rate.burst if told.rate else None,
        capacity=told.capacity,
        weight=told.weight,
        lease=seconds(told.lease),
        declared=info.declared is not None,
        changed=info.changed,
        counts=info.counts,
        oldest_pending_at=info.oldest_pending_at,
    )


def queue_stats_record(found: QueueStatistics) -> QueueStatsRecord:
    """A queue's figures."""
    return QueueStatsRecord(
        name=found.name,
        paused=found.paused,
        pending=found.waiting[State.PENDING],
        scheduled=found.waiting[State.SCHEDULED],
        blocked=found.waiting[State.BLOCKED],
        running=found.running,
        completed=found.completed,
        failed=found.failed,
        cancelled=found.cancelled,
        queue_size=sum(found.waiting.values()),
        queue_capacity=found.capacity,
        concurrency=found.concurrency,
        rate=rate_text(found.rate) if found.rate else None,
        weight=found.weight,
        oldest_age=seconds(found.oldest_age),
        throughput=found.throughput,
        empty_in=seconds(found.empty_in),
    )


def purge_record(found: Purged, *, dry_run: bool) -> PurgeRecord:
    """What a purge did, or would do."""
    return PurgeRecord(
        until=found.at, dry_run=dry_run, waiting=found.waiting, cancelled=found.cancelled
    )


def queue_version(info: QueueInfo) -> str:
    """What a change of the queue's settings changes."""
    settled = (info.definition, info.paused, info.changed)
    return hashlib.blake2b(msgspec.json.encode(settled), digest_size=6).hexdigest()
