"""A call as JSON, and back: what an outbox keeps."""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from tidemill import AtMost, Call, ConfigError, Options, Tidemill, Unique


class RecordedUnique(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unique key as it was made of the arguments, and the rule that goes with it."""

    key: str
    until: Literal["start", "end"] = "end"
    on_conflict: Literal["keep", "replace", "reject"] = "keep"
    lasting: timedelta | None = None
    cached: timedelta | None = None
    within: timedelta | None = None


class RecordedLimit(msgspec.Struct, frozen=True):
    """The key of a limit as it was made of the arguments, and how many may run."""

    key: str
    at_most: int


class RecordedOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that an enqueue says besides its arguments, decided when the call was recorded."""

    id: str
    queue: str
    priority: int
    max_attempts: int
    delay: timedelta | None = None
    run_at: datetime | None = None
    expires_at: datetime | None = None
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    unique: RecordedUnique | None = None
    limit: RecordedLimit | None = None
    user_id: str | None = None
    project_id: str | None = None
    tags: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class RecordedCall(msgspec.Struct, frozen=True):
    """A task that is not yet enqueued."""

    task_type: str
    payload: dict[str, Any]
    options: RecordedOptions


def record(call: Call[Any]) -> tuple[str, str]:
    """The id of the task that a call will be, and the call as JSON.

    Raises `ConfigError` for task types that declare secrets: a business database does not seal.
    """
    if call.task_type.signature.secrets.payload:
        raise ConfigError(
            f"{call.task_type.name} declares secrets, which would stand readable in the outbox: "
            "enqueue it directly, or pass the id of a row that keeps the secret sealed"
        )
    task = call.new_task()
    told = msgspec.convert(task, RecordedOptions, from_attributes=True)
    payload = call.task_type.signature.codec.decode(task.payload)
    recorded = RecordedCall(task.task_type, payload, told)
    return task.id, msgspec.json.encode(recorded).decode()


def replay(app: Tidemill, recorded: str) -> Call[Any]:
    """The call of a record, which makes the same task each time.

    Raises `UnknownTaskType`, `PayloadInvalid` or `PayloadUndecodable` where the code has changed.
    """
    read = msgspec.json.decode(recorded, type=RecordedCall)
    told = read.options
    keyspace, unique = _unique(read.task_type, told.unique)
    options = Options(
        id=told.id,
        queue=told.queue,
        priority=told.priority,
        max_attempts=told.max_attempts,
        delay=told.delay,
        run_at=told.run_at,
        expires_at=told.expires_at,
        timeout=told.timeout,
        soft_timeout=told.soft_timeout,
        unique=unique,
        limit=_limit(told.limit),
        user_id=told.user_id,
        project_id=told.project_id,
        tags=told.tags,
        headers=told.headers or None,
        keyspace=keyspace,
    )
    return app.function(read.task_type).with_options(options).call(**read.payload)


def _unique(task_type: str, told: RecordedUnique | None) -> tuple[str | None, Unique | None]:
    """The key without what the task type adds to it again: `KEYSPACE TYPE/key`."""
    if told is None:
        return None, None
    keyspace, _, key = told.key.partition(f"{task_type}/")
    unique = Unique(
        _literal(key),
        until=told.lasting or told.until,
        on_conflict=told.on_conflict,
        cached=told.cached,
        within=told.within,
    )
    return keyspace or None, unique


def _limit(told: RecordedLimit | None) -> AtMost | None:
    if told is None:
        return None
    name, _, per = told.key.partition("/")
    return AtMost(told.at_most, _literal(per) or None, name)


def _literal(text: str) -> str:
    """A template that makes this text of any arguments."""
    return text.replace("{", "{{").replace("}", "}}")
