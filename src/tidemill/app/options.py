"""Options of one enqueue, and how a call with them becomes a task."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tidemill.errors import ConfigError
from tidemill.ids import is_name, parse_id
from tidemill.keys import AtMost, Unique
from tidemill.task import HIGHEST_PRIORITY, LOWEST_PRIORITY, NewTask, UniqueKey
from tidemill.task_type import TaskType


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What one enqueue says besides its arguments; None leaves it to the task type.

    `id` makes the caller choose the task's UUID: enqueueing it twice is one task. `delay` counts
    from the engine's now, `run_at` and `expires_at` are aware instants. `tags` come on top of the
    task type's. `tx` is the caller's open transaction in the engine's own database. `headers` are
    the task's. Within a `keyspace` unique keys do not meet those of another. What no task could
    have raises `ConfigError`.
    """

    id: str | None = None
    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    expires_at: datetime | None = None
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    unique: Unique | None = None
    limit: AtMost | None = None
    user_id: str | None = None
    project_id: str | None = None
    tags: tuple[str, ...] = ()
    tx: Any = None
    headers: dict[str, str] | None = None
    keyspace: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no engine could hold, where it was written."""
        if self.delay is not None and self.run_at is not None:
            raise ConfigError("give a delay or run_at, not both")
        if self.delay is not None and self.delay < timedelta(0):
            raise ConfigError(f"a task cannot be delayed into the past: {self.delay}")
        for name in ("run_at", "expires_at"):
            instant = getattr(self, name)
            if instant is not None and instant.tzinfo is None:
                raise ConfigError(
                    f"{name} {instant.isoformat()} has no time zone: use an aware one"
                )
        for name in ("timeout", "soft_timeout"):
            duration = getattr(self, name)
            if duration is not None and duration <= timedelta(0):
                raise ConfigError(f"{name} {duration} must be above 0; leave it out for none")
        if self.timeout and self.soft_timeout and self.soft_timeout >= self.timeout:
            raise ConfigError(
                f"the soft timeout {self.soft_timeout} must be below the timeout {self.timeout}"
            )
        if self.queue is not None and not is_name(self.queue):
            raise ConfigError(f"{self.queue!r} cannot name a queue: 1-200 of A-Z a-z 0-9 _ . : -")
        if self.priority is not None and not LOWEST_PRIORITY <= self.priority <= HIGHEST_PRIORITY:
            raise ConfigError(f"priority {self.priority} is not within 0..10 (10 runs first)")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ConfigError(f"max_attempts counts the first attempt too: {self.max_attempts} < 1")
        if self.id is not None:
            try:
                msgspec.structs.force_setattr(self, "id", parse_id(self.id))
            except ValueError as error:
                raise ConfigError(
                    f"{self.id!r} is not a UUID, so it cannot be a task id"
                ) from error

    def over(self, earlier: "Options") -> "Options":
        """These options laid over earlier ones: what is said here wins, and tags add up.

        `delay` and `run_at` both say when, so that either replaces both.
        """
        if earlier is NO_OPTIONS:
            return self
        said = {name: value for name in FIELDS if (value := getattr(self, name)) is not None}
        if self.delay is not None or self.run_at is not None:
            said = {"delay": self.delay, "run_at": self.run_at, **said}
        said["tags"] = distinct(earlier.tags, self.tags)
        return msgspec.structs.replace(earlier, **said)


FIELDS = Options.__struct_fields__
NO_OPTIONS = Options()


def distinct(first: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Both without repeats, in order."""
    return tuple(dict.fromkeys((*first, *more)))


def new_task(
    task_type: TaskType,
    options: Options,
    payload: bytes,
    *,
    task_id: str,
    queue: str,
    now: Callable[[], datetime],
    parent_id: str | None = None,
    retried_from: str | None = None,
    step: bool = False,
    known: Mapping[str, object] | None = None,
) -> NewTask:
    """The task that a call with these options enqueues.

    `queue` is where routes send it; `now` is asked when the task type's expiry counts from it. A
    `step` of a workflow has no unique key: one that gave way to the holder of its key would be
    waited for and never come. `known` are the arguments where the payload lacks some.
    """
    unique, limit = options.unique or task_type.unique, options.limit or task_type.limit
    if step:
        unique = None
    keyed = unique is not None or limit is not None
    if options is NO_OPTIONS and not keyed and task_type.expires is None:
        return NewTask(
            id=task_id,
            task_type=task_type.name,
            payload=payload,
            queue=queue,
            priority=task_type.priority,
            max_attempts=task_type.max_attempts,
            retention=task_type.retention,
            tags=task_type.tags,
            parent_id=parent_id,
            retried_from=retried_from,
            headers=task_type.signature.secrets.headers,
        )
    if task_type.batch is not None and (options.timeout or options.soft_timeout):
        raise ConfigError(
            f"{task_type.name} handles many tasks in one call: its timeouts are those of its "
            "declaration, not of one task"
        )
    if known is None:
        known = task_type.signature.load(payload) if keyed else {}
    delay = options.delay
    if unique is not None and delay is None and options.run_at is None:
        delay = unique.wait
    expires_at = options.expires_at
    if expires_at is None and task_type.expires is not None:
        start = options.run_at or now() + (delay or timedelta())
        expires_at = start + task_type.expires
    return NewTask(
        id=task_id,
        task_type=task_type.name,
        payload=payload,
        queue=queue,
        priority=task_type.priority if options.priority is None else options.priority,
        max_attempts=options.max_attempts or task_type.max_attempts,
        delay=delay,
        run_at=options.run_at,
        expires_at=expires_at,
        timeout=options.timeout,
        soft_timeout=options.soft_timeout,
        unique=_within(options.keyspace, unique.of(task_type.name, known)) if unique else None,
        limit=limit.of(task_type.name, known) if limit else None,
        retention=task_type.retention,
        user_id=options.user_id,
        project_id=options.project_id,
        tags=distinct(task_type.tags, options.tags) if options.tags else task_type.tags,
        parent_id=parent_id,
        retried_from=retried_from,
        headers=task_type.signature.secrets.headers | (options.headers or {}),
    )


def _within(keyspace: str | None, unique: UniqueKey) -> UniqueKey:
    if not keyspace:
        return unique
    return msgspec.structs.replace(unique, key=f"{keyspace}{unique.key}")
