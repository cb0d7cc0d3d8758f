"""A task in its three forms: `NewTask` goes in, `Claim` is run, `Task` is what people read."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

NORMAL_PRIORITY = 5
LOWEST_PRIORITY, HIGHEST_PRIORITY = 0, 10
DEFAULT_QUEUE = "default"
DEFAULT_LEASE = timedelta(seconds=30)


class State(StrEnum):
    """Where a task is in its life; `docs/states.md` draws the transitions."""

    SCHEDULED = "scheduled"
    BLOCKED = "blocked"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the task has ended: only a manual retry leaves a final state."""
        return self in FINAL


WAITING = frozenset({State.SCHEDULED, State.BLOCKED, State.PENDING})
FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})


class UniqueKey(msgspec.Struct, frozen=True):
    """At most one task of a queue holds a key.

    It holds it until its start or its end (any final state), or, when the key is `lasting`, for
    that long from enqueueing, whatever becomes of it. With `cached`, one that completes keeps it
    for that long from then (its result is cached). On conflict the first task is answered;
    `replace` gives it the new payload, priority and run time while it is scheduled (debounce), but
    never a run time later than `within` after it was enqueued.
    """

    key: str
    until: Literal["start", "end"] = "end"
    on_conflict: Literal["keep", "replace", "reject"] = "keep"
    lasting: timedelta | None = None
    cached: timedelta | None = None
    within: timedelta | None = None


class Limit(msgspec.Struct, frozen=True):
    """At most `at_most` tasks of one queue and key are pending or running at once.

    The others are blocked until one of these ends, in line by priority, due instant and id. One
    that is admitted is due from then: it stands behind what other keys have waiting, so that keys
    take turns.
    """

    key: str
    at_most: int


class After(msgspec.Struct, frozen=True):
    """The upstream tasks that a task comes after, in one workflow.

    It is blocked until all of them are final; unknown ones are not waited for. The first that ends
    failed or cancelled breaks it, and then it ends too when the last one is final: as `fail` says
    in the same way, as `skip` says cancelled with the reason `skipped`; `continue` lets it run. If
    it `joins`, there is nothing to run, and it is completed instead.
    """

    tasks: tuple[str, ...]
    on_failure: Literal["fail", "skip", "continue"] = "fail"
    joins: bool = False


class Retention(msgspec.Struct, frozen=True):
    """How long a final task is kept before pruning, by state; `None` keeps it for ever."""

    completed: timedelta | None = timedelta(days=7)
    failed: timedelta | None = timedelta(days=30)
    cancelled: timedelta | None = timedelta(days=7)

    def of(self, state: State) -> timedelta | None:
        """How long a task is kept that ended in this final state."""
        match state:
            case State.COMPLETED:
                return self.completed
            case State.FAILED:
                return self.failed
            case _:
                return self.cancelled


DEFAULT_RETENTION = Retention()


class TaskError(msgspec.Struct, frozen=True):
    """Why an attempt failed, as text: the class is named and never imported again.

    `fingerprint` is equal for errors of one type raised at one place, whatever their message.
    """

    type: str
    message: str
    traceback: str = ""
    fingerprint: str = ""


class Progress(msgspec.Struct, frozen=True):
    """How far a running task is. `percent` is 0..100; `done` of `total` counts inside `step`."""

    percent: float
    message: str = ""
    step: str = ""
    done: int | None = None
    total: int | None = None


class LogLine(msgspec.Struct, frozen=True):
    """One line that a task's code logged; `at` is the worker's clock."""

    at: datetime
    level: str
    message: str
    attempt: int


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """What is enqueued. The id is made by the client, so enqueueing again is the same task.

    `delay` counts from the engine's now; `run_at` is an instant; at most one is given.
    `expires_at`: a task not started by then is cancelled with the reason `expired`.
    `timeout` (hard) and `soft_timeout` override those of the task type.
    `headers` carry context (a trace, the schedule that fired) and are never interpreted.
    """

    id: str
    task_type: str
    payload: bytes
    queue: str = DEFAULT_QUEUE
    priority: int = NORMAL_PRIORITY
    max_attempts: int = 4
    delay: timedelta | None = None
    run_at: datetime | None = None
    expires_at: datetime | None = None
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    unique: UniqueKey | None = None
    limit: Limit | None = None
    after: After | None = None
    retention: Retention = DEFAULT_RETENTION
    user_id: str | None = None
    project_id: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None
    retried_from: str | None = None
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        """All but what the payload says, which nobody is to find in a log."""
        return _sized(self)


class ClaimRef(msgspec.Struct, frozen=True):
    """Names one claim of one task. Token and claim id must both hold the lease for a verb to act.

    The token alone is not enough: a token that was lost with an asynchronous commit or in a
    failover is handed out again, the claim id never is. A task never changes its queue: `queue`
    lets an engine that is spread over servers find the task without a search.
    """

    task_id: str
    token: int
    claim_id: str
    queue: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One task taken exclusively, with all that running it needs.

    `attempt` is 1-based and counts this run; `attempt_limit` is the last attempt allowed, and
    `max_attempts` the budget that a manual retry adds to it.
    `alone`: its worker died while it ran, so this attempt runs by itself in a child process.
    `crashes` counts the attempts that killed their child process so far.
    `waited` is how long the task was due before it was claimed, by the engine's clock.
    """

    ref: ClaimRef
    task_type: str
    queue: str
    priority: int
    payload: bytes
    attempt: int
    attempt_limit: int
    max_attempts: int
    alone: bool = False
    crashes: int = 0
    waited: timedelta = timedelta()
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    user_id: str | None = None
    project_id: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        """All but what the payload says, which nobody is to find in a log."""
        return _sized(self)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a task that has ended, or is under way (`ended_at` and `outcome` are None)."""

    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error: TaskError | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one task as people read it. All instants are aware and UTC.

    `run_at` is when it became or becomes due. While it is blocked, `blocked_on` is `limit`,
    `children` or `upstream`, and `awaiting` the number of those that are not final yet.
    `attempts` holds the ended attempts before the last and the last one itself.
    `payload`, `attempts` and `logs` are filled by queries that ask for details.
    """

    id: str
    task_type: str
    queue: str
    state: State
    priority: int
    attempt: int
    attempt_limit: int
    max_attempts: int
    enqueued_at: datetime
    run_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    prune_at: datetime | None = None
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    retention: Retention = DEFAULT_RETENTION
    worker: str | None = None
    cancel_requested: bool = False
    alone: bool = False
    crashes: int = 0
    blocked_on: str | None = None
    awaiting: int = 0
    unique: UniqueKey | None = None
    limit: Limit | None = None
    after: After | None = None
    user_id: str | None = None
    project_id: str | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None
    retried_from: str | None = None
    headers: dict[str, str] = {}
    progress: Progress | None = None
    payload: bytes | None = None
    result: bytes | None = None
    error: TaskError | None = None
    reason: str | None = None
    attempts: tuple[Attempt, ...] = ()
    logs: tuple[LogLine, ...] = ()

    @property
    def earlier_attempts(self) -> tuple[Attempt, ...]:
        """The ended attempts that the record's own fields do not tell of."""
        return tuple(
            each
            for each in self.attempts
            if each.ended_at is not None
            and (each.number, each.ended_at) != (self.attempt, self.finished_at)
        )

    def __repr__(self) -> str:
        """All but what payload and result say, which nobody is to find in a log."""
        return _sized(self)

    def as_new(self) -> NewTask:
        """What was enqueued, as far as the record tells, due at its present `run_at`.

        ValueError when the record was read without its details.
        """
        if self.payload is None:
            raise ValueError(f"task {self.id} comes without its payload: read it with details")
        return NewTask(
            id=self.id,
            task_type=self.task_type,
            payload=self.payload,
            queue=self.queue,
            priority=self.priority,
            max_attempts=self.max_attempts,
            run_at=self.run_at,
            expires_at=self.expires_at,
            timeout=self.timeout,
            soft_timeout=self.soft_timeout,
            unique=self.unique,
            limit=self.limit,
            after=self.after,
            retention=self.retention,
            user_id=self.user_id,
            project_id=self.project_id,
            tags=self.tags,
            parent_id=self.parent_id,
            retried_from=self.retried_from,
            headers=self.headers,
        )


def _sized(value: msgspec.Struct) -> str:
    """A representation in which bodies are their sizes."""
    fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
    said = (
        f"{name}=<{len(each)} bytes>" if isinstance(each, bytes) else f"{name}={each!r}"
        for name, each in fields
    )
    return f"{type(value).__name__}({', '.join(said)})"
