"""Settings as frozen values: what an application and its workers may be told.

Flags win over the environment, the environment over a file, a file over code; `replace` lays one
over the other.
"""

import os
from datetime import timedelta

import msgspec

from tidemill.task import (
    DEFAULT_LEASE,
    DEFAULT_QUEUE,
    DEFAULT_RETENTION,
    NORMAL_PRIORITY,
    Retention,
)

DEFAULT_URL = "sqlite:///tidemill.db"


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What task types get that do not say otherwise.

    `timeout` and `soft_timeout` of None let a task run as long as its worker lives.
    `max_attempts` counts the first attempt.
    """

    queue: str = DEFAULT_QUEUE
    priority: int = NORMAL_PRIORITY
    max_attempts: int = 4
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    retention: Retention = DEFAULT_RETENTION


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker process works.

    `concurrency` is the number of async tasks at once; ordinary functions run on up to `threads`
    threads, isolated ones in up to `children` child processes. A lease of `lease` is renewed each
    `heartbeat`; a loop that stalls for `stall` stops the renewal, so that others take over.
    `grace` is how long a drain lets tasks finish before it hands them back. After `max_tasks`
    tasks or at `max_memory_mib` the process drains and is replaced.
    """

    queues: tuple[str, ...] | None = None
    concurrency: int = 100
    threads: int = 16
    children: int = max(2, os.cpu_count() or 1)
    lease: timedelta = DEFAULT_LEASE
    heartbeat: timedelta = timedelta(seconds=5)
    stall: timedelta = timedelta(minutes=5)
    grace: timedelta = timedelta(seconds=30)
    max_tasks: int | None = None
    max_memory_mib: int | None = None
    child_memory_mib: int | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an application may be told."""

    url: str = DEFAULT_URL
    defaults: Defaults = Defaults()
    worker: WorkerSettings = WorkerSettings()
    payload_limit: int = 1024 * 1024
