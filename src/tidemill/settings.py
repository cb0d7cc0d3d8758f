"""Settings as frozen values: what an application and its workers may be told.

Flags win over the environment, the environment over a file, a file over code; `replace` lays one
over the other.
"""

import os
from datetime import timedelta

import msgspec

from tidemill.errors import ConfigError
from tidemill.ids import is_name
from tidemill.task import (
    DEFAULT_LEASE,
    DEFAULT_QUEUE,
    DEFAULT_RETENTION,
    HIGHEST_PRIORITY,
    LOWEST_PRIORITY,
    NORMAL_PRIORITY,
    Retention,
)

DEFAULT_URL = "sqlite:///tidemill.db"


def _check_above_zero(settings: msgspec.Struct, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value is not None and value <= (timedelta(0) if isinstance(value, timedelta) else 0):
            raise ConfigError(f"{name} {value} must be above 0")


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

    def __post_init__(self) -> None:
        """Refuse what no task type could have."""
        if not is_name(self.queue):
            raise ConfigError(f"{self.queue!r} cannot name a queue: 1-200 of A-Z a-z 0-9 _ . : -")
        if not LOWEST_PRIORITY <= self.priority <= HIGHEST_PRIORITY:
            raise ConfigError(f"priority {self.priority} is not within 0..10 (10 runs first)")
        _check_above_zero(self, "max_attempts", "timeout", "soft_timeout")
        if self.timeout and self.soft_timeout and self.soft_timeout >= self.timeout:
            raise ConfigError(
                f"the soft timeout {self.soft_timeout} must be below the timeout {self.timeout}"
            )


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

    def __post_init__(self) -> None:
        """Refuse a worker that could not work or would lose what it runs."""
        _check_above_zero(
            self,
            "concurrency",
            "threads",
            "children",
            "lease",
            "heartbeat",
            "stall",
            "max_tasks",
            "max_memory_mib",
            "child_memory_mib",
        )
        if self.grace < timedelta(0):
            raise ConfigError(f"grace {self.grace} must not be negative")
        if self.heartbeat >= self.lease:
            raise ConfigError(
                f"the heartbeat {self.heartbeat} must be below the lease {self.lease}, or running "
                "tasks are taken away; a third of it is usual"
            )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an application may be told.

    `payload_limit` is in bytes and holds for results too.
    """

    url: str = DEFAULT_URL
    defaults: Defaults = Defaults()
    worker: WorkerSettings = WorkerSettings()
    payload_limit: int = 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse a limit that no payload keeps."""
        _check_above_zero(self, "payload_limit")
