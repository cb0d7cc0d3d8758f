"""Worker processes."""

from datetime import datetime

import msgspec


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as it described itself last; not `live` when that is half a minute ago.

    `queue_names` of null are all queues. `concurrency`, `threads` and `children` are how many tasks
    it runs at once on its loop, on threads and in child processes; `running` is how many it held.
    """

    name: str
    host: str
    pid: int
    live: bool
    heard_at: datetime
    started_at: datetime
    queue_names: tuple[str, ...] | None
    task_types: tuple[str, ...]
    concurrency: int
    threads: int
    children: int
    running: int
    version: str


class WorkersRecord(msgspec.Struct, frozen=True):
    """The worker processes by name, also those that were killed within the last hour."""

    workers: tuple[WorkerRecord, ...]
