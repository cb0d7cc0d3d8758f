"""Worker processes."""

from collections.abc import Iterable

from tidemill.interface.workers import (
    SlotsRecord,
    WorkerRecord,
    WorkersRecord,
    WorkerTaskRecord,
)
from tidemill.worker_record import HeldTask, WorkerInfo


def workers_record(found: Iterable[WorkerInfo]) -> WorkersRecord:
    """The worker processes that are known."""
    return WorkersRecord(tuple(_worker(each) for each in found))


def _worker(found: WorkerInfo) -> WorkerRecord:
    told = found.worker
    return WorkerRecord(
        name=told.name,
        host=told.host,
        pid=told.pid,
        live=found.live,
        heard_at=found.heard_at,
        started_at=told.started_at,
        state=told.state.value,
        queue_names=told.queues,
        task_types=told.task_types,
        concurrency=told.concurrency,
        adaptive=told.adaptive,
        threads=told.threads,
        children=told.children,
        slots={name: SlotsRecord(use.size, use.used) for name, use in told.slots.items()},
        running=told.running,
        tasks=tuple(_task(found, each) for each in told.tasks),
        left_out=told.left_out,
        cpu_percent=told.cpu,
        memory=told.memory,
        loop_lag=None if told.loop_lag is None else told.loop_lag.total_seconds(),
        lease=told.lease.total_seconds(),
        version=told.version,
    )


def _task(found: WorkerInfo, held: HeldTask) -> WorkerTaskRecord:
    return WorkerTaskRecord(
        task_id=held.id,
        task_type=held.task_type,
        queue_name=held.queue,
        attempt=held.attempt,
        started_at=found.started_at(held),
    )
