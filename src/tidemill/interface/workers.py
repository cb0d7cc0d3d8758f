"""Worker processes."""

from datetime import datetime

import msgspec


class SlotsRecord(msgspec.Struct, frozen=True):
    """How many tasks a pool of a worker runs at once at most, and how many it had."""

    size: int
    used: int


class WorkerTaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a worker held when it spoke last.

    `started_at` is when its attempt began; null: it was claimed and not begun.
    """

    task_id: str
    task_type: str
    queue_name: str
    attempt: int
    started_at: datetime | None


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as it described itself last; not `live` when that is most of a lease ago.

    `queue_names` of null are all queues. `concurrency`, `threads` and `children` are how many tasks
    it runs at once on its loop, on threads and in child processes; `adaptive` when it changes that
    by itself. `slots` tells it of each pool with how many are in use. `running` is how many tasks
    it held, `tasks` are up to 100 that ran and up to 100 that were claimed and not begun, and
    `left_out` counts the others. `state` is running or draining. `cpu_percent` is of one core and
    `memory` in bytes, of the process without its children; `loop_lag` and `lease` are in seconds.
    """

    name: str
    host: str
    pid: int
    live: bool
    heard_at: datetime
    started_at: datetime
    state: str
    queue_names: tuple[str, ...] | None
    task_types: tuple[str, ...]
    concurrency: int
    adaptive: bool
    threads: int
    children: int
    slots: dict[str, SlotsRecord]
    running: int
    tasks: tuple[WorkerTaskRecord, ...]
    left_out: int
    cpu_percent: float | None
    memory: int | None
    loop_lag: float | None
    lease: float
    version: str


class WorkersRecord(msgspec.Struct, frozen=True):
    """The worker processes by name, also those that were lost within the last hour."""

    workers: tuple[WorkerRecord, ...]
