"""What the engine reads of a task to decide about it, and how values are kept in columns."""

from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from tidemill.clock import from_micros
from tidemill.task import (
    DEFAULT_RETENTION,
    After,
    Attempt,
    LogLine,
    NewTask,
    Progress,
    Retention,
    State,
    TaskError,
    UniqueKey,
)

SCHEDULED: Final = 1
BLOCKED: Final = 2
PENDING: Final = 3
RUNNING: Final = 4
COMPLETED: Final = 5
FAILED: Final = 6
CANCELLED: Final = 7

STATES: Final = {
    SCHEDULED: State.SCHEDULED,
    BLOCKED: State.BLOCKED,
    PENDING: State.PENDING,
    RUNNING: State.RUNNING,
    COMPLETED: State.COMPLETED,
    FAILED: State.FAILED,
    CANCELLED: State.CANCELLED,
}
CODES: Final = {state: code for code, state in STATES.items()}

INLINE_PAYLOAD: Final = 4_096
"""Payloads up to this many bytes stay in the task's row; longer ones have a row of their own,
because SQLite writes the whole row at every change of state."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A task as decisions need it: the columns of `row.sql`, then what only a decision sets.

    `key` is the id as 32 hexadecimal digits. `error`, `result` and the like are not read: a
    change that leaves them alone does not write them.
    """

    seq: int
    key: str
    queue: int
    type: int
    state: int
    priority: int
    due: int
    enqueued_at: int
    attempt_limit: int
    max_attempts: int
    attempt: int
    token: int
    alone: int
    crashes: int
    cancelling: int
    awaited: int
    worker: int | None
    lease_end: int | None
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    blocked_on: str | None
    unique_key: str | None
    limit_key: str | None
    at_most: int | None
    reason: str | None
    extra: str
    claim_kept: bool = True
    prune_at: int | None = None
    error: bytes | None = None
    fingerprint: str | None = None
    result: bytes | None = None

    @property
    def place(self) -> tuple[int, int, str]:
        """Where it stands in claim order."""
        return (-self.priority, self.due, self.key)


def some_columns(row: Row) -> tuple[Any, ...]:
    """What `save.sql` writes of a row."""
    return (
        row.seq,
        row.state,
        row.due,
        row.lease_end,
        row.attempt,
        row.cancelling,
        row.awaited,
        row.blocked_on,
        row.reason,
    )


def all_columns(row: Row) -> tuple[Any, ...]:
    """What `save_whole.sql` writes of a row."""
    return (
        *some_columns(row),
        row.alone,
        row.crashes,
        row.attempt_limit,
        row.claim_kept,
        row.worker,
        row.started_at,
        row.finished_at,
        row.prune_at,
        row.error,
        row.fingerprint,
        row.result,
    )


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What a restored task has behind it; its fields after the first two end `restore.sql`."""

    enqueued_at: int
    attempt_limit: int
    attempt: int
    alone: int
    crashes: int
    worker: int | None
    started_at: int | None
    finished_at: int | None
    prune_at: int | None
    reason: str | None
    error: bytes | None
    fingerprint: str | None
    result: bytes | None


PLAIN_KEY: Final = UniqueKey("")


class Extra(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a task that is only handed on; kept as NULL when all of it is default."""

    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    retention: Retention = DEFAULT_RETENTION
    tags: tuple[str, ...] = ()
    key_rules: UniqueKey = PLAIN_KEY  # of the task's unique key, all but the key itself
    retried_from: str | None = None
    headers: dict[str, str] = {}


_PLAIN = Extra()
_encode = msgspec.msgpack.Encoder().encode
_decode_after = msgspec.msgpack.Decoder(After).decode
_decode_extra = msgspec.msgpack.Decoder(Extra).decode
_decode_error = msgspec.msgpack.Decoder(TaskError).decode
_decode_progress = msgspec.msgpack.Decoder(Progress).decode
_decode_log = msgspec.msgpack.Decoder(LogLine).decode
_decode_attempt = msgspec.msgpack.Decoder(Attempt).decode


def extra_of(task: NewTask) -> bytes | None:
    """The column `extra` of a new task."""
    key_rules = _key_rules(task.unique)
    if (
        task.timeout is None
        and task.soft_timeout is None
        and task.retention is DEFAULT_RETENTION
        and not task.tags
        and key_rules is PLAIN_KEY
        and task.retried_from is None
        and not task.headers
    ):
        return None
    return pack(
        Extra(
            timeout=task.timeout,
            soft_timeout=task.soft_timeout,
            retention=task.retention,
            tags=task.tags,
            key_rules=key_rules,
            retried_from=task.retried_from,
            headers=task.headers,
        )
    )


def _key_rules(unique: UniqueKey | None) -> UniqueKey:
    if unique is None:
        return PLAIN_KEY
    rules = msgspec.structs.replace(unique, key="")
    return PLAIN_KEY if rules == PLAIN_KEY else rules


def unique_from(key: str | None, extra: Extra) -> UniqueKey | None:
    """A task's unique key, of the two columns that keep it."""
    return None if key is None else msgspec.structs.replace(extra.key_rules, key=key)


@lru_cache(maxsize=4_096)
def extra_from(digits: str) -> Extra:
    """The column `extra`, given in hexadecimal; most tasks of one type share it."""
    return _decode_extra(bytes.fromhex(digits)) if digits else _PLAIN


def pack(value: Any) -> bytes:
    """A value as it is kept in a BLOB. Text that UTF-8 cannot hold keeps its other characters.

    Such text comes with errors that quote file names (PEP 383); refusing it would make the
    settlement that carries it fail for ever.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_storable(msgspec.to_builtins(value)))


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(name): _storable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value


def storable(text: str) -> str:
    """A text with what UTF-8 cannot hold replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def error_from(digits: str) -> TaskError | None:
    """The column `error`, given in hexadecimal."""
    return _decode_error(bytes.fromhex(digits)) if digits else None


def error_contains(error: bytes | None, needle: str) -> bool:
    """The SQL function behind `TaskQuery.error_contains`."""
    if error is None:
        return False
    found = _decode_error(error)
    return needle in f"{found.type}\n{found.message}".lower()


def after_from(body: bytes) -> After:
    """What a task comes after, as it was packed."""
    return _decode_after(body)


def progress_from(digits: str) -> Progress:
    """A task's progress, given in hexadecimal."""
    return _decode_progress(bytes.fromhex(digits))


def log_from(digits: str) -> LogLine:
    """One line of a task's log, given in hexadecimal."""
    return _decode_log(bytes.fromhex(digits))


def attempt_from(body: bytes) -> Attempt:
    """An ended attempt, as it was packed."""
    return _decode_attempt(body)


def attempt_of(
    row: Row, worker: str, ended_at: int, outcome: str, error: TaskError | None
) -> Attempt:
    """A row's present attempt as one that has ended."""
    return Attempt(
        number=row.attempt,
        worker=worker,
        started_at=from_micros(row.enqueued_at if row.started_at is None else row.started_at),
        ended_at=from_micros(ended_at),
        outcome=outcome,
        error=error,
    )


def raw_of(task_id: str) -> bytes | None:
    """The 16 bytes of a task id, None for what cannot name a task."""
    try:
        raw = bytes.fromhex(task_id.replace("-", ""))
    except ValueError:
        return None
    return raw if len(raw) == 16 else None


def key_of(task_id: str) -> str:
    """The 32 digits of a task id; ValueError for what is no UUID."""
    raw = raw_of(task_id)
    if raw is None:
        raise ValueError(f"{task_id!r} is not the id of a task: it is not a UUID")
    return raw.hex()


def id_of(key: str) -> str:
    """The task id of 32 digits."""
    return f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"


def key_or_none(task_id: str) -> str | None:
    """As `key_of`, None for what cannot name a task."""
    raw = raw_of(task_id)
    return None if raw is None else raw.hex()


@lru_cache(maxsize=1_024)
def claim_bytes(claim_id: str) -> bytes:
    """A claim id as it is kept: the bytes of a UUID, or of any other text."""
    return raw_of(claim_id) or claim_id.encode()
