"""Scheduled tasks, and what became of their instants."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tidemill.engine import Fired
from tidemill.schedule import Misfire, Overlap


class FireRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One instant. `task_id` is what it submitted, or what still ran when it was skipped.

    Of instants that were missed, `missed` is their number.
    """

    at: datetime
    recorded_at: datetime
    status: Fired
    task_id: str | None
    missed: int
    by_hand: bool


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduled task. One of `cron_expr`, `every` (seconds) and `at` says when it fires.

    `next_run_at` is null when it is paused or over; it is `late` when that passed a minute ago.
    `last_error` and `fires`, the newest first, come where one scheduled task is read. `declared`
    when the application's code declares it; `changed` names what an operator changed. Without the
    scope `payloads` there is no `payload`, and `withheld` is true.
    """

    name: str
    task_type: str
    is_active: bool
    cron_expr: str | None
    timezone: str | None
    every: float | None
    jitter: float | None
    at: datetime | None
    queue_name: str
    priority: int
    max_retries: int
    timeout: float | None
    tags: tuple[str, ...]
    user_id: str | None
    project_id: str | None
    misfire: Misfire
    misfire_limit: int
    grace: float
    overlap: Overlap
    starts_at: datetime | None
    ends_at: datetime | None
    expires: float | None
    declared: bool
    changed: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    next_run_at: datetime | None
    last_run_at: datetime | None
    run_count: int
    late: bool
    last_error: str | None
    fires: tuple[FireRecord, ...]
    payload: Any = UNSET
    withheld: bool | UnsetType = UNSET


class SchedulesRecord(msgspec.Struct, frozen=True):
    """All scheduled tasks by name, without their fires."""

    scheduled_tasks: tuple[ScheduleRecord, ...]


class SchedulerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many scheduled tasks there are; those that are `late` are active too."""

    active: int = msgspec.field(name="active_jobs")
    paused: int
    finished: int
    late: int
    last_run_at: datetime | None
    next_run_at: datetime | None
