"""Scheduled tasks: definitions, and what became of their instants."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from tidemill.api.records.values import error_text, seconds, value_of
from tidemill.app.schedules import ScheduleInfo, SchedulerStatistics
from tidemill.engine import Fire, Fired
from tidemill.schedule import Cron, Every, Misfire, Once, Overlap


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
    when the application's code declares it; `changed` names what an operator changed.
    """

    name: str
    task_type: str
    is_active: bool
    cron_expr: str | None
    timezone: str | None
    every: float | None
    jitter: float | None
    at: datetime | None
    payload: Any
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


def schedule_record(info: ScheduleInfo) -> ScheduleRecord:
    """A scheduled task as it stands."""
    told, task = info.schedule, info.schedule.task
    timing = told.timing
    return ScheduleRecord(
        name=told.name,
        task_type=task.task_type,
        is_active=not told.paused,
        cron_expr=timing.expression if isinstance(timing, Cron) else None,
        timezone=timing.timezone if isinstance(timing, Cron) else None,
        every=seconds(timing.period) if isinstance(timing, Every) else None,
        jitter=seconds(timing.jitter) if isinstance(timing, Every) else None,
        at=timing.at if isinstance(timing, Once) else None,
        payload=value_of(task.payload),
        queue_name=task.queue,
        priority=task.priority,
        max_retries=task.max_attempts - 1,
        timeout=seconds(task.timeout),
        tags=task.tags,
        user_id=task.user_id,
        project_id=task.project_id,
        misfire=told.misfire,
        misfire_limit=told.misfire_limit,
        grace=told.grace.total_seconds(),
        overlap=told.overlap,
        starts_at=told.starts_at,
        ends_at=told.ends_at,
        expires=seconds(told.expires),
        declared=told.declared,
        changed=told.changed,
        created_at=told.created_at,
        updated_at=told.updated_at,
        next_run_at=info.next_run_at,
        last_run_at=info.last_run_at,
        run_count=info.run_count,
        late=info.late,
        last_error=error_text(info.last_error),
        fires=fire_records(info.fires),
    )


def fire_records(fires: Iterable[Fire]) -> tuple[FireRecord, ...]:
    """What became of instants."""
    return tuple(
        FireRecord(
            at=each.at,
            recorded_at=each.recorded_at,
            status=each.outcome,
            task_id=each.task_id,
            missed=each.missed,
            by_hand=each.by_hand,
        )
        for each in fires
    )


def scheduler_record(found: SchedulerStatistics) -> SchedulerRecord:
    """How many scheduled tasks there are in each condition."""
    return SchedulerRecord(
        active=found.active,
        paused=found.paused,
        finished=found.finished,
        late=found.late,
        last_run_at=found.last_fire_at,
        next_run_at=found.next_fire_at,
    )
