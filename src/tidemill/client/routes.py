"""Every route of the HTTP interface, described once for both clients.

Times are aware datetimes, durations seconds. What is left out is not sent.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack
from uuid import UUID

from tidemill.access import Scope
from tidemill.client.asking import Ask, Route, path, said
from tidemill.interface.alerts import AlertsRecord, SilenceRecord, SilencesRecord
from tidemill.interface.audit import AuditRecords
from tidemill.interface.failed import DroppedRecord, FailedGroupsRecord, RetriedRecord
from tidemill.interface.health import Alive, Ready
from tidemill.interface.keys import CallerRecord, KeysRecord, NewKeyRecord
from tidemill.interface.queues import PurgeRecord, QueueRecord, QueuesRecord, QueueStatsRecord
from tidemill.interface.schedules import (
    FireRecord,
    ScheduleRecord,
    SchedulerRecord,
    SchedulesRecord,
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
from tidemill.interface.webhooks import WebhookRecord, WebhookSecretRecord, WebhooksRecord
from tidemill.interface.workers import WorkersRecord
from tidemill.interface.workflows import StepsRecord, WorkflowRecord

API = "/api/v1"


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


class GroupFilter(TypedDict, total=False):
    """Which failed tasks are meant."""

    task_type: str
    queue_name: str
    user_id: str
    project_id: str


class QueueOptions(TypedDict, total=False):
    """The limits of a queue; None does not restrict. `rate` is such as `100/m`."""

    concurrency: int | None
    worker_concurrency: int | None
    rate: str | None
    burst: int
    capacity: int | None
    weight: int
    lease: float | None


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


# tasks


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
    headers = said({"Idempotency-Key": idempotency_key}) | _prefer(wait)
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
    return _read(path(f"{API}/tasks/{{}}", task_id), TaskRecord, _integers(exact=exact), wait=wait)


@Route
def list_tasks(**which: Unpack[TaskFilter]) -> Ask[TaskPage]:
    """Tasks, newest first, in pages: by `page` and `page_size`, or by `cursor` and `limit`."""
    return _read(f"{API}/tasks", TaskPage, which)


@Route
def delete_task(task_id: str) -> Ask[TaskRecord]:
    """Cancel a task that waits, or ask one that runs to stop; `Conflict` for one that is final."""
    return Ask(method="DELETE", path=path(f"{API}/tasks/{{}}", task_id), answer=TaskRecord)


@Route
def cancel_task(task_id: str, reason: str = "") -> Ask[TaskRecord]:
    """The same, with a reason for the record."""
    return _post(path(f"{API}/tasks/{{}}/cancel", task_id), TaskRecord, {"reason": reason})


@Route
def retry_task(task_id: str, payload: Mapping[str, Any] | None = None) -> Ask[TaskRecord]:
    """Run a failed or cancelled task again; with a payload, a new task that names the old one."""
    body = said({"payload": payload})
    return _post(path(f"{API}/tasks/{{}}/retry", task_id), TaskRecord, body)


@Route
def get_progress(task_id: str) -> Ask[ProgressRecord]:
    """How far a task is."""
    return _read(path(f"{API}/tasks/{{}}/progress", task_id), ProgressRecord)


@Route
def get_result(
    task_id: str, *, wait: float | None = None, exact: bool = False
) -> Ask[ResultRecord]:
    """How a task ended; `TaskNotFinished` while it has not, after waiting so many seconds."""
    return _read(
        path(f"{API}/tasks/{{}}/result", task_id),
        ResultRecord,
        _integers(exact=exact),
        wait=wait,
    )


@Route
def get_runs(task_id: str) -> Ask[tuple[RunRecord, ...]]:
    """The attempts of a task, in order."""
    return _read(path(f"{API}/tasks/{{}}/executions", task_id), tuple[RunRecord, ...])


@Route
def get_logs(task_id: str) -> Ask[tuple[LogRecord, ...]]:
    """What a task's code logged."""
    return _read(path(f"{API}/tasks/{{}}/logs", task_id), tuple[LogRecord, ...])


@Route
def get_statistics(**about: Unpack[Range]) -> Ask[StatisticsRecord]:
    """What ended in a range of time, how, and how long it took."""
    return _read(f"{API}/tasks/statistics", StatisticsRecord, about)


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
    return _read(f"{API}/tasks/statistics/over-time", PointsRecord, query)


# queues


@Route
def create_queue(name: str, **options: Unpack[QueueOptions]) -> Ask[QueueRecord]:
    """Create a queue; `Conflict` when there is one of that name."""
    return _post(f"{API}/queues", QueueRecord, {"name": name, **options})


@Route
def list_queues() -> Ask[QueuesRecord]:
    """The queues by name."""
    return _read(f"{API}/queues", QueuesRecord)


@Route
def get_queue(name: str) -> Ask[QueueRecord]:
    """One queue."""
    return _read(path(f"{API}/queues/{{}}", name), QueueRecord)


@Route
def get_queue_stats(name: str) -> Ask[QueueStatsRecord]:
    """How a queue stands: what waits, how fast it goes, when it will be empty."""
    return _read(path(f"{API}/queues/{{}}/stats", name), QueueStatsRecord)


@Route
def change_queue(
    name: str, *, if_match: str | None = None, **options: Unpack[QueueOptions]
) -> Ask[QueueRecord]:
    """Change a queue's limits; with the `etag` that was read, only if it is still the same."""
    return Ask(
        method="PATCH",
        path=path(f"{API}/queues/{{}}", name),
        answer=QueueRecord,
        body=options,
        headers=_if(if_match),
    )


@Route
def reset_queue(name: str, *, if_match: str | None = None) -> Ask[QueueRecord]:
    """Take back what was changed at run time: the queue is as code declares it."""
    return _post(path(f"{API}/queues/{{}}/reset", name), QueueRecord, headers=_if(if_match))


@Route
def pause_queue(name: str, *, if_match: str | None = None) -> Ask[QueueRecord]:
    """Stop claims from a queue; what runs goes on."""
    return _post(path(f"{API}/queues/{{}}/pause", name), QueueRecord, headers=_if(if_match))


@Route
def resume_queue(name: str, *, if_match: str | None = None) -> Ask[QueueRecord]:
    """Let a queue be claimed from again."""
    return _post(path(f"{API}/queues/{{}}/resume", name), QueueRecord, headers=_if(if_match))


@Route
def purge_queue(
    name: str, *, dry_run: bool = False, until: datetime | None = None
) -> Ask[PurgeRecord]:
    """Cancel what waits in a queue; `dry_run` only counts, and its `until` goes into the next."""
    return Ask(
        method="POST",
        path=path(f"{API}/queues/{{}}/purge", name),
        answer=PurgeRecord,
        query={"dry_run": dry_run, "until": until},
    )


# scheduled tasks


@Route
def create_scheduled_task(name: str, **options: Unpack[ScheduleOptions]) -> Ask[ScheduleRecord]:
    """Create a schedule; it needs a `task_type` and an instant."""
    return _post(f"{API}/scheduled-tasks", ScheduleRecord, {"name": name, **options})


@Route
def list_scheduled_tasks() -> Ask[SchedulesRecord]:
    """The schedules by name."""
    return _read(f"{API}/scheduled-tasks", SchedulesRecord)


@Route
def get_scheduled_task(name: str) -> Ask[ScheduleRecord]:
    """One schedule with its last fires."""
    return _read(path(f"{API}/scheduled-tasks/{{}}", name), ScheduleRecord)


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
        headers=_if(if_match),
    )


@Route
def delete_scheduled_task(name: str, *, if_match: str | None = None) -> Ask[None]:
    """Remove a schedule; the tasks that it fired stay."""
    return Ask(
        method="DELETE",
        path=path(f"{API}/scheduled-tasks/{{}}", name),
        answer=type(None),
        headers=_if(if_match),
    )


@Route
def get_fires(name: str) -> Ask[tuple[FireRecord, ...]]:
    """What a schedule fired, skipped and missed, newest first."""
    return _read(path(f"{API}/scheduled-tasks/{{}}/history", name), tuple[FireRecord, ...])


@Route
def pause_scheduled_task(name: str, *, if_match: str | None = None) -> Ask[ScheduleRecord]:
    """Fire nothing until it is resumed."""
    at = path(f"{API}/scheduled-tasks/{{}}/pause", name)
    return _post(at, ScheduleRecord, headers=_if(if_match))


@Route
def resume_scheduled_task(name: str, *, if_match: str | None = None) -> Ask[ScheduleRecord]:
    """Fire again, from now on."""
    at = path(f"{API}/scheduled-tasks/{{}}/resume", name)
    return _post(at, ScheduleRecord, headers=_if(if_match))


@Route
def run_scheduled_task(name: str) -> Ask[TaskRecord]:
    """Fire a schedule now, out of turn; answers the task."""
    return _post(path(f"{API}/scheduled-tasks/{{}}/run", name), TaskRecord)


@Route
def get_scheduler_statistics() -> Ask[SchedulerRecord]:
    """How many schedules there are, the last and the next fire."""
    return _read(f"{API}/scheduler/statistics", SchedulerRecord)


# failed tasks, workers, workflows, health


@Route
def list_failed_groups(**which: Unpack[GroupFilter]) -> Ask[FailedGroupsRecord]:
    """Failed tasks counted by their error."""
    return _read(f"{API}/failed-groups", FailedGroupsRecord, which)


@Route
def retry_failed_group(
    fingerprint: str, *, rate: float | None = None, **which: Unpack[GroupFilter]
) -> Ask[RetriedRecord]:
    """Run all tasks with an error again, so many per second at most."""
    return Ask(
        method="POST",
        path=path(f"{API}/failed-groups/{{}}/retry", fingerprint),
        answer=RetriedRecord,
        query=which,
        body=said({"rate": rate}),
    )


@Route
def drop_failed_group(fingerprint: str, **which: Unpack[GroupFilter]) -> Ask[DroppedRecord]:
    """Remove all tasks with an error for good."""
    return Ask(
        method="DELETE",
        path=path(f"{API}/failed-groups/{{}}", fingerprint),
        answer=DroppedRecord,
        query=which,
    )


@Route
def list_workers() -> Ask[WorkersRecord]:
    """The worker processes by name."""
    return _read(f"{API}/workers", WorkersRecord)


@Route
def get_workflow(workflow_id: str) -> Ask[WorkflowRecord]:
    """A workflow and how far it is."""
    return _read(path(f"{API}/workflows/{{}}", workflow_id), WorkflowRecord)


@Route
def list_steps(workflow_id: str) -> Ask[StepsRecord]:
    """The tasks of a workflow, in order."""
    return _read(path(f"{API}/workflows/{{}}/steps", workflow_id), StepsRecord)


@Route
def cancel_workflow(workflow_id: str, reason: str = "") -> Ask[WorkflowRecord]:
    """Cancel what waits of a workflow, and ask what runs to stop."""
    at = path(f"{API}/workflows/{{}}/cancel", workflow_id)
    return _post(at, WorkflowRecord, {"reason": reason})


@Route
def retry_workflow(workflow_id: str) -> Ask[WorkflowRecord]:
    """Run a broken workflow again from what failed."""
    return _post(path(f"{API}/workflows/{{}}/retry", workflow_id), WorkflowRecord)


@Route
def get_health() -> Ask[Alive]:
    """Tell that the process answers."""
    return _read("/healthz", Alive)


@Route
def get_readiness() -> Ask[Ready]:
    """Tell that the engine answers, and what it promises; an error with status 503 if not."""
    return _read("/readyz", Ready)


@Route
def list_keys() -> Ask[KeysRecord]:
    """List the API keys, without the keys themselves."""
    return _read(f"{API}/keys", KeysRecord)


@Route
def create_key(
    name: str,
    scopes: Iterable[Scope | str],
    *,
    user_id: str | None = None,
    project_id: str | None = None,
    expires: float | None = None,
    rate: str | None = None,
) -> Ask[NewKeyRecord]:
    """Make an API key, good for `expires` seconds or until it is revoked; it is told this once."""
    body = {"name": name, "scopes": [str(each) for each in scopes]} | said(
        {"user_id": user_id, "project_id": project_id, "expires": expires, "rate": rate}
    )
    return _post(f"{API}/keys", NewKeyRecord, body)


@Route
def revoke_key(key_id: str) -> Ask[None]:
    """Revoke an API key by its id."""
    return Ask(method="DELETE", path=path(f"{API}/keys/{{}}", key_id), answer=type(None))


class WebhookChanges(TypedDict, total=False):
    """What `change_webhook` changes; None removes what may be absent."""

    url: str
    name: str
    events: Iterable[str]
    queue_names: Iterable[str]
    task_types: Iterable[str]
    user_id: str | None
    project_id: str | None
    is_active: bool


class WebhookFilter(TypedDict, total=False):
    """What a webhook is told of; what is left out does not restrict."""

    name: str
    events: Iterable[str]
    queue_names: Iterable[str]
    task_types: Iterable[str]
    user_id: str
    project_id: str


@Route
def create_webhook(url: str, **options: Unpack[WebhookFilter]) -> Ask[WebhookSecretRecord]:
    """Make a webhook; the secret of the answer is told this once."""
    return _post(f"{API}/webhooks", WebhookSecretRecord, {"url": url, **options})


@Route
def list_webhooks() -> Ask[WebhooksRecord]:
    """The webhooks, the oldest first."""
    return _read(f"{API}/webhooks", WebhooksRecord)


@Route
def get_webhook(webhook_id: str) -> Ask[WebhookRecord]:
    """One webhook; `NotFound` when there is none."""
    return _read(path(f"{API}/webhooks/{{}}", webhook_id), WebhookRecord)


@Route
def change_webhook(
    webhook_id: str, *, if_match: str | None = None, **changes: Unpack[WebhookChanges]
) -> Ask[WebhookRecord]:
    """Change a webhook; with the `etag` that was read, only if it is still the same."""
    return Ask(
        method="PATCH",
        path=path(f"{API}/webhooks/{{}}", webhook_id),
        answer=WebhookRecord,
        body=changes,
        headers=_if(if_match),
    )


@Route
def delete_webhook(webhook_id: str, *, if_match: str | None = None) -> Ask[None]:
    """Delete a webhook."""
    return Ask(
        method="DELETE",
        path=path(f"{API}/webhooks/{{}}", webhook_id),
        answer=type(None),
        headers=_if(if_match),
    )


@Route
def rotate_webhook(webhook_id: str) -> Ask[WebhookSecretRecord]:
    """Give a webhook a new secret, told this once; for 24 hours the old one signs as well."""
    return _post(path(f"{API}/webhooks/{{}}/rotate", webhook_id), WebhookSecretRecord)


@Route
def test_webhook(webhook_id: str) -> Ask[TaskRecord]:
    """Send a `webhook.test`, once; answers the task that delivers it."""
    return _post(path(f"{API}/webhooks/{{}}/test", webhook_id), TaskRecord)


@Route
def list_deliveries(
    webhook_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Ask[TaskPage]:
    """The tasks that deliver to a webhook, newest first."""
    query = said({"cursor": cursor, "limit": limit})
    return _read(path(f"{API}/webhooks/{{}}/deliveries", webhook_id), TaskPage, query)


@Route
def get_me() -> Ask[CallerRecord]:
    """Tell who the server takes the client for, and what it may do."""
    return _read(f"{API}/me", CallerRecord)


@Route
def list_audit(
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    who: str | None = None,
    action: str | None = None,
    limit: int | None = None,
) -> Ask[AuditRecords]:
    """List who changed what, the newest first."""
    which = {"since": since, "until": until, "who": who, "action": action, "limit": limit}
    return _read(f"{API}/audit", AuditRecords, which)


@Route
def list_alerts() -> Ask[AlertsRecord]:
    """What is not fine, the worst first."""
    return _read(f"{API}/alerts", AlertsRecord)


@Route
def list_silences() -> Ask[SilencesRecord]:
    """The silences that hold."""
    return _read(f"{API}/alerts/silences", SilencesRecord)


@Route
def create_silence(
    seconds: float, *, rule: str | None = None, subject: str | None = None, reason: str = ""
) -> Ask[SilenceRecord]:
    """Tell nothing about a rule, a subject or both for some seconds."""
    body = {"seconds": seconds, "reason": reason} | said({"rule": rule, "subject": subject})
    return _post(f"{API}/alerts/silences", SilenceRecord, body)


@Route
def delete_silence(silence_id: str) -> Ask[None]:
    """End a silence now."""
    at = path(f"{API}/alerts/silences/{{}}", silence_id)
    return Ask(method="DELETE", path=at, answer=type(None))


def _read(
    at: str, answer: Any, query: Mapping[str, Any] | None = None, *, wait: float | None = None
) -> Ask[Any]:
    return Ask(
        method="GET",
        path=at,
        answer=answer,
        query=query or {},
        headers=_prefer(wait),
        patience=wait or 0,
    )


def _post(
    at: str,
    answer: Any,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Ask[Any]:
    return Ask(method="POST", path=at, answer=answer, body=body, headers=headers or {})


def _prefer(wait: float | None) -> dict[str, str]:
    return {} if wait is None else {"Prefer": f"wait={wait:g}"}


def _if(etag: str | None) -> dict[str, str]:
    return said({"If-Match": etag})


def _integers(*, exact: bool) -> dict[str, str]:
    return {"big_integers": "string"} if exact else {}
