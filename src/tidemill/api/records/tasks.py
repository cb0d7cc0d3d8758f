"""Tasks and their parts."""

from collections.abc import Iterable
from datetime import timedelta

import msgspec
from msgspec import UNSET

from tidemill.api.records.values import error_record, seconds, value_of
from tidemill.app.audit import SUBMITTED_BY
from tidemill.interface.tasks import LogRecord, ProgressRecord, ResultRecord, RunRecord, TaskRecord
from tidemill.secret import secrets_of
from tidemill.task import Attempt, LogLine, Progress, State, Task


def task_record(
    task: Task, *, details: bool = True, exact: bool = False, payloads: bool = False
) -> TaskRecord:
    """A task; with its payload and result if `details`, whose integers are texts if `exact`.

    Without `payloads` these two are withheld, and the record says so.
    """
    error, shown = task.error, details and payloads
    secret = secrets_of(task.headers)
    return TaskRecord(
        task_id=task.id,
        task_type=task.task_type,
        queue_name=task.queue,
        status=task.state,
        priority=task.priority,
        progress=_percent(task),
        progress_message=task.progress.message if task.progress else "",
        attempt=task.attempt,
        retry_count=max(0, task.attempt - 1),
        max_retries=task.max_attempts - 1,
        timeout=seconds(task.timeout),
        soft_timeout=seconds(task.soft_timeout),
        created_at=task.enqueued_at,
        run_at=task.run_at,
        started_at=task.started_at,
        completed_at=task.finished_at,
        expires_at=task.expires_at,
        worker=task.worker,
        cancel_requested=task.cancel_requested,
        blocked_on=task.blocked_on,
        reason=task.reason,
        error_type=error.type if error else None,
        error_message=error.message if error else None,
        error_fingerprint=error.fingerprint if error else None,
        unique_key=task.unique.key if task.unique else None,
        user_id=task.user_id,
        project_id=task.project_id,
        tags=task.tags,
        parent_id=task.parent_id,
        retried_from=task.retried_from,
        submitted_by=task.headers.get(SUBMITTED_BY),
        payload=(value_of(task.payload, secret=secret.payload, exact=exact) if shown else UNSET),
        result=value_of(task.result, secret=secret.result, exact=exact) if shown else UNSET,
        withheld=True if details and not payloads else UNSET,
    )


def without_payloads(body: bytes) -> bytes:
    """The JSON of an answer that was made for somebody who may see payloads, for one who may not.

    >>> without_payloads(b'{"task_id":"7","payload":{"to":"ana"},"result":null}')
    b'{"task_id":"7","withheld":true}'
    """
    told = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if told.keys().isdisjoint({"payload", "result"}):
        return body
    kept = {name: value for name, value in told.items() if name not in {"payload", "result"}}
    return msgspec.json.encode(kept | {"withheld": True})


def progress_record(task: Task) -> ProgressRecord:
    """How far a task is."""
    told = task.progress or Progress(0)
    return ProgressRecord(
        task_id=task.id,
        status=task.state,
        progress=_percent(task),
        message=told.message,
        step=told.step,
        completed_steps=told.done,
        total_steps=told.total,
    )


def result_record(task: Task, *, exact: bool = False, payloads: bool = False) -> ResultRecord:
    """How a final task ended; its result is withheld without `payloads`."""
    return ResultRecord(
        task_id=task.id,
        status=task.state,
        completed_at=task.finished_at,
        result=(
            value_of(task.result, secret=secrets_of(task.headers).result, exact=exact)
            if payloads
            else None
        ),
        error=error_record(task.error),
        reason=task.reason,
        withheld=UNSET if payloads else True,
    )


def run_records(attempts: Iterable[Attempt]) -> tuple[RunRecord, ...]:
    """The attempts of a task, in order."""
    return tuple(
        RunRecord(
            attempt=each.number,
            worker=each.worker,
            started_at=each.started_at,
            ended_at=each.ended_at,
            duration_ms=_milliseconds(each),
            status=each.outcome,
            error=error_record(each.error),
        )
        for each in attempts
    )


def _milliseconds(attempt: Attempt) -> float | None:
    if attempt.ended_at is None:
        return None
    return (attempt.ended_at - attempt.started_at) / timedelta(milliseconds=1)


def log_records(lines: Iterable[LogLine]) -> tuple[LogRecord, ...]:
    """What a task logged, in order."""
    return tuple(
        LogRecord(at=each.at, level=each.level, message=each.message, attempt=each.attempt)
        for each in lines
    )


def _percent(task: Task) -> float:
    if task.state is State.COMPLETED:
        return 100.0
    return task.progress.percent if task.progress else 0.0
