"""Scheduled tasks."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from tidemill.client.asking import Ask, Route, path
from tidemill.client.routes.forms import API, if_match_of, post, read
from tidemill.interface.schedules import (
    ScheduleRecord,
    SchedulerRecord,
    SchedulesRecord,
)
from tidemill.interface.tasks import (
    TaskRecord,
)


class ScheduleOptions(TypedDict, total=False):
    """When and how a scheduled task runs: one of `cron_expr`, `every` (seconds) and `at`."""

    task_type: str
    cron_expr: str
    every: float
    at: datetime
    timezone: str
    jitter: float | None
    payload: Mapping[str, Any]
    queue_name: str | None
    priority: int | None
    max_retries: int | None
    timeout: float | None
    tags: Iterable[str]
    user_id: str | None
    project_id: str | None
    misfire: str
    misfire_limit: int
    grace: float
    overlap: str
    starts_at: datetime | None
    ends_at: datetime | None
    expires: float | None
    is_active: bool


@Route
def create_scheduled_task(name: str, **options: Unpack[ScheduleOptions]) -> Ask[ScheduleRecord]:
    """Create a schedule; it needs a `task_type` and an instant."""
    return post(f"{API}/scheduled-tasks", ScheduleRecord, {"name": name, **options})


@Route
def list_scheduled_tasks() -> Ask[SchedulesRecord]:
    """The schedules by name."""
    return read(f"{API}/scheduled-tasks", SchedulesRecord)


@Route
def get_scheduled_task(name: str) -> Ask[ScheduleRecord]:
    """One schedule with its last fires."""
    return read(path(f"{API}/scheduled-tasks/{{}}", name), ScheduleRecord)


@Route
def change_scheduled_task(
    name: str, *, if_match: str | None = None, **options: Unpack[ScheduleOptions]
) -> Ask[ScheduleRecord]:
    """Change a schedule; what is not said stays."""
    return Ask(
        method="PUT",
        path=path(f"{API}/scheduled-tasks/{{}}", name),
        answer=ScheduleRecord,
        body=options,
        headers=if_match_of(if_match),
    )


@Route
def delete_scheduled_task(name: str, *, if_match: str | None = None) -> Ask[None]:
    """Remove a schedule; the tasks that it fired stay."""
    return Ask(
        method="DELETE",
        path=path(f"{API}/scheduled-tasks/{{}}", name),
        answer=type(None),
        headers=if_match_of(if_match),
    )


@Route
def pause_scheduled_task(name: str, *, if_match: str | None = None) -> Ask[ScheduleRecord]:
    """Fire nothing until it is resumed."""
    at = path(f"{API}/scheduled-tasks/{{}}/pause", name)
    return post(at, ScheduleRecord, headers=if_match_of(if_match))


@Route
def resume_scheduled_task(name: str, *, if_match: str | None = None) -> Ask[ScheduleRecord]:
    """Fire again, from now on."""
    at = path(f"{API}/scheduled-tasks/{{}}/resume", name)
    return post(at, ScheduleRecord, headers=if_match_of(if_match))


@Route
def run_scheduled_task(name: str) -> Ask[TaskRecord]:
    """Fire a schedule now, out of turn; answers the task."""
    return post(path(f"{API}/scheduled-tasks/{{}}/run", name), TaskRecord)


@Route
def get_scheduler_statistics() -> Ask[SchedulerRecord]:
    """How many schedules there are, the last and the next fire."""
    return read(f"{API}/scheduler/statistics", SchedulerRecord)
