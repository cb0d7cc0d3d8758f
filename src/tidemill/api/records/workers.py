"""Worker processes."""

from collections.abc import Iterable

from tidemill.interface.workers import WorkerRecord, WorkersRecord
from tidemill.worker_record import WorkerInfo


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
        queue_names=told.queues,
        task_types=told.task_types,
        concurrency=told.concurrency,
        threads=told.threads,
        children=told.children,
        running=told.running,
        version=told.version,
    )
