"""Tasks and their parts.

What a list leaves out of its tasks is `msgspec.UNSET`, which is false and is not sent.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tidemill.interface.problems import Problem
from tidemill.task import State


class ErrorRecord(msgspec.Struct, frozen=True):
    """Why an attempt failed. `fingerprint` is equal for errors of one type raised at one place."""

    type: str
    message: str
    traceback: str
    fingerprint: str


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A task. Instants are UTC, durations seconds, `progress` is 0..100.

    `run_at` is when it became or becomes due; `retry_count` are its attempts after the first, of at
    most `max_retries`. While it is blocked, `blocked_on` is `limit`, `children` or `upstream`.
    `reason` is why it was cancelled, `submitted_by` names the credentials that submitted it. Lists
    leave `payload` and `result` out, and so does every answer to a caller without the scope
    `payloads`: then `withheld` is true.
    """

    task_id: str
    task_type: str
    queue_name: str
    status: State
    priority: int
    progress: float
    progress_message: str
    attempt: int
    retry_count: int
    max_retries: int
    timeout: float | None
    soft_timeout: float | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None
    worker: str | None
    cancel_requested: bool
    blocked_on: str | None
    reason: str | None
    error_type: str | None
    error_message: str | None
    error_fingerprint: str | None
    unique_key: str | None
    user_id: str | None
    project_id: str | None
    tags: tuple[str, ...]
    parent_id: str | None
    retried_from: str | None
    submitted_by: str | None = None
    payload: Any = UNSET
    result: Any = UNSET
    withheld: bool | UnsetType = UNSET


class SubmittedTask(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task of a bulk submit, by its place in it.

    `status` is that of submitting it alone: 201, or 200 when `task_id` is an earlier task that
    holds its unique key. Otherwise `error` says why there is no task.
    """

    index: int
    status: int
    task_id: str | None = None
    error: Problem | None = None


class SubmittedTasks(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk submit, task by task."""

    accepted: int
    refused: int
    tasks: tuple[SubmittedTask, ...]


class ProgressRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is; `completed_steps` of `total_steps` counts inside `step`."""

    task_id: str
    status: State
    progress: float
    message: str
    step: str
    completed_steps: int | None
    total_steps: int | None


class ResultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended: its `result`, or its `error`, or why it was cancelled.

    The result is null for a caller without the scope `payloads`, and `withheld` is true.
    """

    task_id: str
    status: State
    completed_at: datetime | None
    result: Any
    error: ErrorRecord | None
    reason: str | None
    withheld: bool | UnsetType = UNSET


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `status` is how it ended, null while it runs."""

    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    duration_ms: float | None
    status: str | None
    error: ErrorRecord | None


class LogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line that the task's code logged, at an instant of its worker's clock."""

    at: datetime
    level: str
    message: str
    attempt: int


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks, newest first, without payloads and results.

    By number: `page`, `page_size`, `total`, and `total_capped` when there are more than `total`.
    After a cursor those are null. `next_cursor` goes on behind the last task; null: there is none.
    """

    tasks: tuple[TaskRecord, ...]
    page: int | None
    page_size: int
    total: int | None
    total_capped: bool
    next_cursor: str | None
