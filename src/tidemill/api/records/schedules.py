"""Scheduled tasks: definitions, and what became of their instants."""

from collections.abc import Iterable

from msgspec import UNSET

from tidemill.api.records.values import error_text, seconds, value_of
from tidemill.app.schedules import ScheduleInfo, SchedulerStatistics
from tidemill.engine import Fire, Fired
from tidemill.interface.schedules import FireRecord, ScheduleRecord, SchedulerRecord
from tidemill.schedule import Cron, Every, Once
from tidemill.secret import secrets_of


def schedule_record(
    info: ScheduleInfo, *, payloads: bool = False, holders: bool = True
) -> ScheduleRecord:
    """A scheduled task as it stands; its payload is withheld without `payloads`."""
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
        payload=(
            value_of(task.payload, secret=secrets_of(task.headers).payload) if payloads else UNSET
        ),
        withheld=UNSET if payloads else True,
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
        fires=fire_records(info.fires, holders=holders),
    )


def fire_records(fires: Iterable[Fire], *, holders: bool = True) -> tuple[FireRecord, ...]:
    """What became of instants; without `holders`, not which task one was skipped for."""
    return tuple(
        FireRecord(
            at=each.at,
            recorded_at=each.recorded_at,
            status=each.outcome,
            task_id=each.task_id if holders or each.outcome is Fired.FIRED else None,
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
