"""Queues."""

from tidemill.api.records.values import seconds
from tidemill.app.queues import Purged, QueueInfo
from tidemill.interface.queues import PurgeRecord, QueueRecord, QueueStatsRecord
from tidemill.queue import rate_text
from tidemill.statistics import QueueStatistics
from tidemill.task import State


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
