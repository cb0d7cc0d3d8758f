"""The stored forms of a task: what scripts are given, and what they answer."""

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tidemill.clock import from_micros, micros, to_micros
from tidemill.task import (
    DEFAULT_RETENTION,
    After,
    Attempt,
    Claim,
    ClaimRef,
    Limit,
    LogLine,
    NewTask,
    Progress,
    Retention,
    State,
    Task,
    TaskError,
    UniqueKey,
)


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unique key: held until its `till`, or for `lasts` from enqueueing, then `cached`.

    These and `within`, the longest delay of a replaced task, are microseconds.
    """

    key: str
    till: Literal["start", "end"]
    conflict: Literal["keep", "replace", "reject"] = "keep"
    lasts: int | None = None
    cached: int | None = None
    within: int | None = None


class Slots(msgspec.Struct, frozen=True):
    """A limit: its key, and how many tasks may be pending or running."""

    key: str
    most: int


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was enqueued, without the payload. Instants and durations are microseconds.

    `keep` is how long the task is kept when completed, failed, cancelled; -1 is for ever, None the
    default.
    """

    type: str
    queue: str
    priority: int
    attempts: int
    expires: int | None = None
    timeout: int | None = None
    soft_timeout: int | None = None
    unique: Key | None = None
    slots: Slots | None = None
    keep: tuple[int, int, int] | None = None
    user: str | None = None
    project: str | None = None
    tags: tuple[str, ...] = ()
    parent: str | None = None
    retried_from: str | None = None
    headers: dict[str, str] | None = None


class Upstream(msgspec.Struct, frozen=True, array_like=True):
    """The field `after` as `waiting.lua` describes it."""

    tasks: tuple[str, ...]
    on_failure: Literal["fail", "skip", "continue"]
    joins: bool
    queues: tuple[str, ...] = ()


class Live(NamedTuple):
    """What changes: the row that `records.lua` describes, numbers first."""

    state: int
    blocked: int
    flags: int
    priority: int
    crashes: int
    attempt: int
    limit: int
    told: int
    token: int
    arrival: int
    enqueued: int
    due: int
    started: int
    finished: int
    prune: int


ROW: Final = struct.Struct(">BBHBBIIIQQQQQQQ")
STATES: Final = (
    State.SCHEDULED,
    State.BLOCKED,
    State.PENDING,
    State.RUNNING,
    State.COMPLETED,
    State.FAILED,
    State.CANCELLED,
)
BLOCKED_ON: Final = (None, "limit", "children", "upstream")
RULES: Final = 1
LABELS: Final = 2
ALONE: Final = 4
CANCEL: Final = 8
RESULT: Final = 64
ERROR: Final = 128
REASON: Final = 256
PROGRESS: Final = 512
AFTER: Final = 1024
_WORKER: Final = 3


class Ended(msgspec.Struct, frozen=True):
    """An attempt in the history; its error is JSON."""

    number: int
    worker: str
    started: int
    ended: int
    outcome: str
    error: str | None = None


_FOR_EVER: Final = -1

pack: Final = msgspec.msgpack.Encoder().encode
facts_from: Final = msgspec.msgpack.Decoder(Facts).decode
_upstream: Final = msgspec.msgpack.Decoder(Upstream).decode
_ended: Final = msgspec.msgpack.Decoder(Ended).decode
_error: Final = msgspec.json.Decoder(TaskError).decode
_progress: Final = msgspec.json.Decoder(Progress).decode
_log: Final = msgspec.json.Decoder(LogLine).decode
_json: Final = msgspec.json.Encoder().encode


def to_json(value: TaskError | Progress | LogLine) -> str:
    """A value as the JSON that the store keeps."""
    return _json(value).decode()


def progress_from(text: str) -> Progress:
    """What `to_json` made of a progress."""
    return _progress(text)


def facts(task: NewTask | Task) -> bytes:
    """The facts of a task; ValueError when an instant has no time zone."""
    keep = task.retention
    limit = task.limit
    return pack(
        Facts(
            type=task.task_type,
            queue=task.queue,
            priority=task.priority,
            attempts=task.max_attempts,
            expires=_instant(task.expires_at),
            timeout=_duration(task.timeout),
            soft_timeout=_duration(task.soft_timeout),
            unique=_key(task.unique),
            slots=None if limit is None else Slots(limit.key, limit.at_most),
            keep=None
            if keep == DEFAULT_RETENTION
            else (_kept(keep.completed), _kept(keep.failed), _kept(keep.cancelled)),
            user=task.user_id,
            project=task.project_id,
            tags=task.tags,
            parent=task.parent_id,
            retried_from=task.retried_from,
            headers=task.headers or None,
        )
    )


def after(task: NewTask, elsewhere: Mapping[str, str]) -> bytes:
    """What a task comes after; `elsewhere` has the queues of tasks in other shards, by id."""
    told = task.after or After(())
    found = (elsewhere.get(each, "") for each in told.tasks)
    queues = tuple("" if queue == task.queue else queue for queue in found) if elsewhere else ()
    return pack(Upstream(told.tasks, told.on_failure, told.joins, queues))


def has_rules(task: NewTask | Task) -> bool:
    """Whether scripts act on more of its facts than where it goes and how often it runs."""
    return not (
        task.unique is None
        and task.limit is None
        and task.expires_at is None
        and task.retention == DEFAULT_RETENTION
    )


def has_labels(task: NewTask | Task) -> bool:
    """Whether people may search for it by more than queue, type and state."""
    return bool(task.tags or task.user_id or task.project_id or task.parent_id)


def claim_from(row: Sequence[Any], claim_id: str) -> Claim:
    """A claim from a row of the claim script."""
    task_id, token, attempt, limit, crashes, alone, packed, payload, waited = row
    told = facts_from(packed)
    return Claim(
        ref=ClaimRef(task_id.decode(), token, claim_id, told.queue),
        task_type=told.type,
        queue=told.queue,
        priority=told.priority,
        payload=payload,
        attempt=attempt,
        attempt_limit=limit,
        max_attempts=told.attempts,
        alone=alone == 1,
        crashes=crashes,
        waited=timedelta(microseconds=waited),
        timeout=_timedelta(told.timeout),
        soft_timeout=_timedelta(told.soft_timeout),
        user_id=told.user,
        project_id=told.project,
        tags=told.tags,
        parent_id=told.parent,
        headers=told.headers or {},
    )


def task_from(row: Sequence[Any]) -> Task:
    """A task from a row of `row_of`: payload, logs and attempts are there or not."""
    task_id, packed, moving, result, error, reason, progress, after_it, awaiting, *details = row
    told, live = facts_from(packed), Live(*ROW.unpack_from(moving))
    worker = moving[ROW.size :].split(b"\0")[_WORKER].decode()
    state = STATES[live.state - 1]
    payload, logs, attempts = details or (None, (), ())
    failure = _error(error) if error else None
    ended = [_attempt(raw) for raw in attempts]
    return Task(
        id=task_id.decode(),
        task_type=told.type,
        queue=told.queue,
        state=state,
        priority=told.priority,
        attempt=live.attempt,
        attempt_limit=live.limit,
        max_attempts=told.attempts,
        enqueued_at=from_micros(live.enqueued),
        run_at=from_micros(live.due),
        started_at=_datetime(live.started),
        finished_at=_datetime(live.finished),
        expires_at=None if told.expires is None else from_micros(told.expires),
        prune_at=_datetime(live.prune),
        timeout=_timedelta(told.timeout),
        soft_timeout=_timedelta(told.soft_timeout),
        retention=_retention(told),
        worker=worker or None,
        cancel_requested=bool(live.flags & CANCEL),
        alone=bool(live.flags & ALONE),
        crashes=live.crashes,
        blocked_on=BLOCKED_ON[live.blocked],
        awaiting=awaiting,
        unique=_unique(told.unique),
        limit=None if told.slots is None else Limit(told.slots.key, told.slots.most),
        after=None if after_it is None else _after(after_it),
        user_id=told.user,
        project_id=told.project,
        tags=told.tags,
        parent_id=told.parent,
        retried_from=told.retried_from,
        headers=told.headers or {},
        progress=_progress(progress) if progress else None,
        payload=payload,
        result=result,
        error=failure,
        reason=None if reason is None else reason.decode(),
        attempts=(*ended, *_last(live, state, worker, failure)) if details else (),
        logs=tuple(_log(raw) for raw in logs),
    )


def _after(raw: bytes) -> After:
    told = _upstream(raw)
    return After(told.tasks, told.on_failure, told.joins)


def _last(live: Live, state: State, worker: str, error: TaskError | None) -> tuple[Attempt, ...]:
    """The attempt that the record itself tells of, unless the history has it already."""
    if live.attempt == live.told or not live.started:
        return ()
    if not state.final and state is not State.RUNNING:
        return ()
    return (
        Attempt(
            number=live.attempt,
            worker=worker,
            started_at=from_micros(live.started),
            ended_at=_datetime(live.finished) if state.final else None,
            outcome=state.value if state.final else None,
            error=error if state.final else None,
        ),
    )


def _attempt(raw: bytes) -> Attempt:
    told = _ended(raw)
    return Attempt(
        number=told.number,
        worker=told.worker,
        started_at=from_micros(told.started),
        ended_at=from_micros(told.ended),
        outcome=told.outcome,
        error=_error(told.error) if told.error else None,
    )


def _retention(told: Facts) -> Retention:
    if told.keep is None:
        return DEFAULT_RETENTION
    return Retention(*(None if kept == _FOR_EVER else _timedelta(kept) for kept in told.keep))


def _kept(value: timedelta | None) -> int:
    return _FOR_EVER if value is None else micros(value)


def _key(unique: UniqueKey | None) -> Key | None:
    if unique is None:
        return None
    return Key(
        unique.key,
        unique.until,
        unique.on_conflict,
        _duration(unique.lasting),
        _duration(unique.cached),
        _duration(unique.within),
    )


def _unique(told: Key | None) -> UniqueKey | None:
    if told is None:
        return None
    return UniqueKey(
        told.key,
        told.till,
        told.conflict,
        _timedelta(told.lasts),
        _timedelta(told.cached),
        _timedelta(told.within),
    )


def _instant(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)


def _duration(value: timedelta | None) -> int | None:
    return None if value is None else micros(value)


def _datetime(instant: int | None) -> datetime | None:
    return from_micros(instant) if instant else None


def _timedelta(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(microseconds=value)
