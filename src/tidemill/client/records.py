"""What the HTTP interface answers, as values.

Instants are UTC and durations are seconds. What a newer server says besides is left out.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from tidemill.task import State


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed. `fingerprint` is equal for errors of one type raised at one place."""

    type: str
    message: str
    traceback: str
    fingerprint: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task. Instants are UTC, durations seconds, `progress` is 0..100.

    `run_at` is when it became or becomes due; `retry_count` are its attempts after the first, of at
    most `max_retries`. While it is blocked, `blocked_on` is `limit`, `children` or `upstream`.
    `reason` is why it was cancelled. Lists leave `payload` and `result` out.
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
    payload: Any = None
    result: Any = None


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks, newest first, without payloads and results.

    By number: `page`, `page_size`, `total`, and `total_capped` when there are more than `total`.
    After a cursor those are null. `next_cursor` goes on behind the last task; null: there is none.
    """

    tasks: tuple[Task, ...]
    page: int | None
    page_size: int
    total: int | None
    total_capped: bool
    next_cursor: str | None


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One value that is at fault: `field` is its path, such as `payload.lines[2].price`."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not carried out (RFC 9457). `type` is stable, the texts are for people."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()


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


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is; `completed_steps` of `total_steps` counts inside `step`."""

    task_id: str
    status: State
    progress: float
    message: str
    step: str
    completed_steps: int | None
    total_steps: int | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a task ended: its `result`, or its `error`, or why it was cancelled."""

    task_id: str
    status: State
    completed_at: datetime | None
    result: Any
    error: Error | None
    reason: str | None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `status` is how it ended, null while it runs."""

    attempt: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    duration_ms: float | None
    status: str | None
    error: Error | None


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """One line that the task's code logged, at an instant of its worker's clock."""

    at: datetime
    level: str
    message: str
    attempt: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What ended from `start_time` until before `end_time`, the range that is really covered.

    Durations are of attempts, in milliseconds: from start to end, and before it from due to start.
    `success_rate` is the percentage of completed among completed and failed. What nothing was
    counted for is null.
    """

    start_time: datetime
    end_time: datetime
    total: int
    completed: int
    failed: int
    cancelled: int
    retried: int
    reclaimed: int
    success_rate: float | None
    avg_duration_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    avg_wait_ms: float | None
    p50_wait_ms: float | None
    p95_wait_ms: float | None
    p99_wait_ms: float | None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time, of all tasks or of one queue or task type."""

    at: datetime
    queue_name: str | None
    task_type: str | None
    statistics: Statistics


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of each stretch of a range, oldest first."""

    resolution: str | None
    points: tuple[Point, ...]


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue and its limits; null does not restrict, `lease` is in seconds.

    `counts` are its tasks by status. `declared` when the application's code declares it; `changed`
    names the settings that an operator changed, which win over the code.
    """

    name: str
    paused: bool
    concurrency: int | None
    worker_concurrency: int | None
    rate: str | None
    burst: int | None
    capacity: int | None
    weight: int
    lease: float | None
    declared: bool
    changed: tuple[str, ...]
    counts: dict[State, int]
    oldest_pending_at: datetime | None


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """All queues by name."""

    queues: tuple[Queue, ...]


class QueueStats(msgspec.Struct, frozen=True, kw_only=True):
    """A queue now. Counts are of the tasks that are still kept.

    `queue_size` tasks wait, of at most `queue_capacity`. `oldest_age` is for how many seconds the
    longest-waiting pending task has been due; `throughput` is tasks ended per second over the last
    five minutes, and `empty_in` how many seconds the pending ones last at that rate.
    """

    name: str
    paused: bool
    pending: int
    scheduled: int
    blocked: int
    running: int
    completed: int
    failed: int
    cancelled: int
    queue_size: int
    queue_capacity: int | None
    concurrency: int | None
    rate: str | None
    weight: int
    oldest_age: float | None
    throughput: float
    empty_in: float | None


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """A purge of what was submitted until `until`: so many waited, so many were cancelled."""

    until: datetime
    dry_run: bool
    waiting: int
    cancelled: int


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """One instant. `task_id` is what it submitted, or what still ran when it was skipped.

    Of instants that were missed, `missed` is their number.
    """

    at: datetime
    recorded_at: datetime
    status: str
    task_id: str | None
    missed: int
    by_hand: bool


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
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
    misfire: str
    misfire_limit: int
    grace: float
    overlap: str
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
    fires: tuple[Fire, ...]


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """All scheduled tasks by name, without their fires."""

    scheduled_tasks: tuple[Schedule, ...]


class Scheduler(msgspec.Struct, frozen=True, kw_only=True):
    """How many scheduled tasks there are; those that are `late` are active too."""

    active: int = msgspec.field(name="active_jobs")
    paused: int
    finished: int
    late: int
    last_run_at: datetime | None
    next_run_at: datetime | None


class FailedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failed tasks with one error: of one type, raised at one place.

    `error_message` is that of the newest; `examples` are ids of tasks, the newest first.
    """

    fingerprint: str
    error_type: str
    error_message: str
    count: int
    task_types: tuple[str, ...]
    queue_names: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    examples: tuple[str, ...]


class FailedGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Groups, the largest first, of the `looked_at` newest failed tasks; `capped`: of more."""

    groups: tuple[FailedGroup, ...]
    looked_at: int
    capped: bool


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks were asked for, how many run again, and why the others do not."""

    asked: int
    retried: int
    refused: dict[str, int]


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """How many failed tasks were removed for good."""

    dropped: int


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as it described itself last; not `live` when that is half a minute ago.

    `queue_names` of null are all queues. `concurrency`, `threads` and `children` are how many tasks
    it runs at once on its loop, on threads and in child processes; `running` is how many it held.
    """

    name: str
    host: str
    pid: int
    live: bool
    heard_at: datetime
    started_at: datetime
    queue_names: tuple[str, ...] | None
    task_types: tuple[str, ...]
    concurrency: int
    threads: int
    children: int
    running: int
    version: str


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """The worker processes by name, also those that were killed within the last hour."""

    workers: tuple[Worker, ...]


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it stands: `progress` (0..100) is the share of its steps that are final.

    `counts` are its steps by status. `broken_by` are the steps that failed or were cancelled by
    themselves.
    """

    workflow_id: str
    name: str
    status: State
    total: int
    counts: dict[State, int]
    progress: float
    broken_by: tuple[Task, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: a task, the ids of those that it comes after, and how many stand before it."""

    task: Task
    after: tuple[str, ...]
    on_failure: str | None
    level: int


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of a workflow that are still kept, each after those that it comes after."""

    steps: tuple[Step, ...]


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The engine answers; `durability` is what it promises (docs/guarantees.md)."""

    status: Literal["ready"] = "ready"
    engine: str
    durability: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a task at an instant. `progress` is 0..100, and null where none was reported.

    `status` is the state afterwards, `completed_steps` of `total_steps` counts inside `step`.
    """

    task_id: str
    task_type: str
    queue_name: str
    status: State
    attempt: int
    at: datetime
    progress: float | None
    message: str = ""
    step: str = ""
    completed_steps: int | None = None
    total_steps: int | None = None


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks of a queue are in each state; states without any are left out."""

    queue_name: str
    counts: dict[str, int]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The queues as they stand at an instant."""

    at: datetime
    queues: tuple[QueueCounts, ...]


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stream was reset: changes are `lost`, or the client was too `slow`."""

    reason: str
