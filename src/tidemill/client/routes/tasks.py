"""Tasks, and numbers over time."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from tidemill.client.asking import Ask, Route, path, said
from tidemill.client.routes.forms import API, integers, post, prefer, read
from tidemill.interface.schedules import (
    FireRecord,
)
from tidemill.interface.statistics import PointsRecord, StatisticsRecord
from tidemill.interface.tasks import (
    LogRecord,
    ProgressRecord,
    ResultRecord,
    RunRecord,
    SubmittedTasks,
    TaskPage,
    TaskRecord,
)


class SubmitOptions(TypedDict, total=False):
    """What may be said of a task that is submitted; the rest is as its task type says.

    With an `id` of your own, submitting again is the same task. Higher `priority` runs first,
    0..10. `max_retries` are attempts after the first. Give `delay` (seconds) or `run_at`. While a
    task with the same `unique_key` is live, that one is the answer.
    """

    id: UUID | str
    queue_name: str
    priority: int
    max_retries: int
    timeout: float
    soft_timeout: float
    delay: float
    run_at: datetime
    expires_at: datetime
    unique_key: str
    user_id: str
    project_id: str
    tags: Iterable[str]


class TaskFilter(TypedDict, total=False):
    """Which tasks to list. All of `tag` must be there, any of the other lists."""

    status: Iterable[str]
    task_type: Iterable[str]
    queue_name: Iterable[str]
    tag: Iterable[str]
    user_id: str
    project_id: str
    parent_id: str
    error_fingerprint: str
    error_contains: str
    start_time: datetime
    end_time: datetime
    page: int
    page_size: int
    limit: int
    cursor: str


class Range(TypedDict, total=False):
    """What statistics are about: what ended from `start_time` until before `end_time`."""

    start_time: datetime
    end_time: datetime
    queue_name: str
    task_type: str


@Route
def submit_task(
    task_type: str,
    payload: Mapping[str, Any] | None = None,
    *,
    wait: float | None = None,
    idempotency_key: str | None = None,
    **options: Unpack[SubmitOptions],
) -> Ask[TaskRecord]:
    """Submit a task, and with `wait` look at it once more when it is final, or so many seconds on.

    The same `idempotency_key` within 24 hours is the same request.
    """
    headers = said({"Idempotency-Key": idempotency_key}) | prefer(wait)
    return Ask(
        method="POST",
        path=f"{API}/tasks",
        answer=TaskRecord,
        body={"task_type": task_type, "payload": payload or {}, **options},
        headers=headers,
        patience=wait or 0,
    )


@Route
def submit_tasks(
    tasks: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None
) -> Ask[SubmittedTasks]:
    """Submit many tasks, each a mapping with `task_type`, `payload` and `SubmitOptions`.

    Each is accepted or refused by itself; the answer says so, and nothing is raised.
    """
    return Ask(
        method="POST",
        path=f"{API}/tasks/bulk",
        answer=SubmittedTasks,
        body={"tasks": list(tasks)},
        headers=said({"Idempotency-Key": idempotency_key}),
    )


@Route
def get_task(task_id: str, *, wait: float | None = None, exact: bool = False) -> Ask[TaskRecord]:
    """A task with payload and result. `exact`: integers beyond 2^53 in them are texts."""
    return read(path(f"{API}/tasks/{{}}", task_id), TaskRecord, integers(exact=exact), wait=wait)


@Route
def list_tasks(**which: Unpack[TaskFilter]) -> Ask[TaskPage]:
    """Tasks, newest first, in pages: by `page` and `page_size`, or by `cursor` and `limit`."""
    return read(f"{API}/tasks", TaskPage, which)


@Route
def delete_task(task_id: str) -> Ask[TaskRecord]:
    """Cancel a task that waits, or ask one that runs to stop; `Conflict` for one that is final."""
    return Ask(method="DELETE", path=path(f"{API}/tasks/{{}}", task_id), answer=TaskRecord)


@Route
def cancel_task(task_id: str, reason: str = "") -> Ask[TaskRecord]:
    """The same, with a reason for the record."""
    return post(path(f"{API}/tasks/{{}}/cancel", task_id), TaskRecord, {"reason": reason})


@Route
def retry_task(task_id: str, payload: Mapping[str, Any] | None = None) -> Ask[TaskRecord]:
    """Run a failed or cancelled task again; with a payload, a new task that names the old one."""
    body = said({"payload": payload})
    return post(path(f"{API}/tasks/{{}}/retry", task_id), TaskRecord, body)


@Route
def get_progress(task_id: str) -> Ask[ProgressRecord]:
    """How far a task is."""
    return read(path(f"{API}/tasks/{{}}/progress", task_id), ProgressRecord)


@Route
def get_result(
    task_id: str, *, wait: float | None = None, exact: bool = False
) -> Ask[ResultRecord]:
    """How a task ended; `TaskNotFinished` while it has not, after waiting so many seconds."""
    return read(
        path(f"{API}/tasks/{{}}/result", task_id),
        ResultRecord,
        integers(exact=exact),
        wait=wait,
    )


@Route
def get_runs(task_id: str) -> Ask[tuple[RunRecord, ...]]:
    """The attempts of a task, in order."""
    return read(path(f"{API}/tasks/{{}}/executions", task_id), tuple[RunRecord, ...])


@Route
def get_logs(task_id: str) -> Ask[tuple[LogRecord, ...]]:
    """What a task's code logged."""
    return read(path(f"{API}/tasks/{{}}/logs", task_id), tuple[LogRecord, ...])


@Route
def get_statistics(**about: Unpack[Range]) -> Ask[StatisticsRecord]:
    """What ended in a range of time, how, and how long it took."""
    return read(f"{API}/tasks/statistics", StatisticsRecord, about)


@Route
def get_statistics_over_time(
    *,
    points: int | None = None,
    resolution: str | None = None,
    by: str | None = None,
    **about: Unpack[Range],
) -> Ask[PointsRecord]:
    """The same for each minute, hour or day; `by` is `queue` or `task_type`."""
    query = {**about, "points": points, "resolution": resolution, "by": by}
    return read(f"{API}/tasks/statistics/over-time", PointsRecord, query)


@Route
def get_fires(name: str) -> Ask[tuple[FireRecord, ...]]:
    """What a schedule fired, skipped and missed, newest first."""
    return read(path(f"{API}/scheduled-tasks/{{}}/history", name), tuple[FireRecord, ...])
