"""The frozen declaration of a task type: everything that `@app.task` says."""

import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from tidemill.context import Context
from tidemill.errors import DeclarationError
from tidemill.ids import is_name
from tidemill.outcome import Cancel, Snooze
from tidemill.retry import RetryPolicy
from tidemill.settings import Defaults
from tidemill.signature import Signature
from tidemill.task import HIGHEST_PRIORITY, LOWEST_PRIORITY, Retention, UniqueKey

Isolation = Literal["loop", "thread", "process"]


class Unique(msgspec.Struct, frozen=True):
    """At most one task per key, in a queue.

    `key` is a template over the arguments (`"index:{document_id}"`) or a function of them.
    """

    key: str | Callable[..., str]
    until: Literal["start", "end"] | timedelta = "end"
    on_conflict: Literal["keep", "replace", "reject"] = "keep"

    def of(self, task_type: str, arguments: Mapping[str, Any]) -> UniqueKey:
        """The key of one call."""
        try:
            text = (
                self.key.format(**arguments) if isinstance(self.key, str) else self.key(**arguments)
            )
        except (KeyError, IndexError, AttributeError) as error:
            raise DeclarationError(f"the unique key of {task_type} names {error}") from error
        return UniqueKey(f"{task_type}:{text}", self.until, self.on_conflict)


class TaskType(msgspec.Struct, frozen=True, kw_only=True):
    """A task type: its function, and how its tasks are enqueued and run.

    `queue` of None lets routes and the application's default decide. `steps` are the names and
    weights of its progress. `keep_result` of False stores no result.
    """

    name: str
    function: Callable[..., Any]
    signature: Signature
    retry: RetryPolicy
    isolation: Isolation
    queue: str | None
    priority: int
    max_attempts: int
    timeout: timedelta | None
    soft_timeout: timedelta | None
    expires: timedelta | None
    retention: Retention
    unique: Unique | None
    tags: tuple[str, ...]
    steps: Mapping[str, float]
    keep_result: bool

    @property
    def is_async(self) -> bool:
        """Whether calling the function gives a coroutine."""
        return inspect.iscoroutinefunction(self.function)


def declare(
    function: Callable[..., Any],
    defaults: Defaults,
    *,
    codec: Any,
    name: str | None = None,
    queue: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    retry: RetryPolicy | None = None,
    timeout: timedelta | None = None,
    soft_timeout: timedelta | None = None,
    expires: timedelta | None = None,
    retention: Retention | None = None,
    unique: Unique | None = None,
    isolation: Isolation | None = None,
    tags: tuple[str, ...] = (),
    steps: Mapping[str, float] | None = None,
    keep_result: bool = True,
) -> TaskType:
    """Check a declaration and fill in the application's defaults."""
    name = name or f"{_module_of(function)}.{function.__qualname__}".replace("<locals>.", "")
    if not is_name(name):
        raise DeclarationError(
            f"{name!r} cannot name a task type: use 1-200 of A-Z a-z 0-9 _ . : -"
        )
    if queue is not None and not is_name(queue):
        raise DeclarationError(f"{name}: {queue!r} cannot name a queue")
    is_async = inspect.iscoroutinefunction(function)
    isolation = isolation or ("loop" if is_async else "thread")
    if isolation == "loop" and not is_async:
        raise DeclarationError(
            f"{name} is an ordinary function and would block the loop: use thread"
        )
    if isolation == "thread" and is_async:
        raise DeclarationError(f"{name} is async: it runs on the loop, or isolated in a process")
    priority = defaults.priority if priority is None else priority
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise DeclarationError(f"{name}: priority {priority} is not within 0..10 (10 runs first)")
    timeout = timeout or defaults.timeout
    soft_timeout = soft_timeout or defaults.soft_timeout
    if timeout and soft_timeout and soft_timeout >= timeout:
        raise DeclarationError(f"{name}: the soft timeout {soft_timeout} must be below {timeout}")
    policy = retry or RetryPolicy()
    return TaskType(
        name=name,
        function=function,
        signature=Signature.of(
            function, task_type=name, context=Context, not_results=(Snooze, Cancel), codec=codec
        ),
        retry=policy,
        isolation=isolation,
        queue=queue,
        priority=priority,
        max_attempts=max_attempts or policy.within(defaults.max_attempts).most_attempts,
        timeout=timeout,
        soft_timeout=soft_timeout,
        expires=expires,
        retention=retention or defaults.retention,
        unique=unique,
        tags=tags,
        steps=dict(steps or {}),
        keep_result=keep_result,
    )


def _module_of(function: Callable[..., Any]) -> str:
    """The name under which another process imports the function's module, also of a script."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return spec.name if spec else Path(getattr(main, "__file__", "__main__")).stem
