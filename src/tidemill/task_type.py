"""The frozen declaration of a task type: everything that `@app.task` says."""

import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from tidemill.batch import Batch
from tidemill.context import Context
from tidemill.errors import DeclarationError
from tidemill.ids import is_name
from tidemill.keys import AtMost, Unique
from tidemill.outcome import Cancel, Snooze
from tidemill.retry import RetryPolicy
from tidemill.settings import Defaults
from tidemill.signature import Signature
from tidemill.task import HIGHEST_PRIORITY, LOWEST_PRIORITY, Retention

Isolation = Literal["loop", "thread", "process"]


class TaskType(msgspec.Struct, frozen=True, kw_only=True):
    """A task type: its function, and how its tasks are enqueued and run.

    `queue` of None lets routes and the application's default decide. `steps` are the names and
    weights of its progress. `keep_result` of False stores no result. With a `batch`, one call of
    the function handles many tasks.
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
    limit: AtMost | None
    tags: tuple[str, ...]
    steps: Mapping[str, float]
    keep_result: bool
    batch: Batch | None

    @property
    def is_async(self) -> bool:
        """Whether calling the function gives a coroutine."""
        return inspect.iscoroutinefunction(self.function)

    @property
    def takes_contexts(self) -> bool:
        """Whether a batch function takes the contexts of the items before them."""
        return len(inspect.signature(self.function).parameters) > 1


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
    limit: AtMost | None = None,
    isolation: Isolation | None = None,
    tags: tuple[str, ...] = (),
    steps: Mapping[str, float] | None = None,
    keep_result: bool = True,
    batch: Batch | None = None,
) -> TaskType:
    """Check a declaration and fill in the application's defaults."""
    if not inspect.isroutine(function):
        raise DeclarationError(f"a task is one function, declared once; {function!r} is none")
    name = name or f"{_module_of(function)}.{function.__qualname__}".replace("<locals>.", "")
    if not is_name(name):
        raise DeclarationError(
            f"{name!r} cannot name a task type: use 1-200 of A-Z a-z 0-9 _ . : -, as in "
            'task(name="mail.send")'
        )
    if queue is not None and not is_name(queue):
        raise DeclarationError(f"{name}: {queue!r} cannot name a queue")
    priority = defaults.priority if priority is None else priority
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise DeclarationError(f"{name}: priority {priority} is not within 0..10 (10 runs first)")
    if max_attempts is not None and max_attempts < 1:
        raise DeclarationError(
            f"{name}: max_attempts counts the first attempt too: {max_attempts} < 1"
        )
    if any(weight <= 0 for weight in (steps or {}).values()):
        raise DeclarationError(f"{name}: the weight of each step must be above 0")
    _check_durations(name, timeout=timeout, soft_timeout=soft_timeout, expires=expires)
    timeout, soft_timeout = _time_limits(name, timeout, soft_timeout, defaults)
    policy = retry or RetryPolicy()
    if batch is None:
        signature = Signature.of(
            function, task_type=name, context=Context, not_results=(Snooze, Cancel), codec=codec
        )
    else:
        signature = batch.signature(function, name, codec)
    retention = retention or defaults.retention
    if unique is not None:
        unique.check(signature, retention)
    if limit is not None:
        limit.check(signature)
    return TaskType(
        name=name,
        function=function,
        signature=signature,
        retry=policy,
        isolation=_isolation(name, function, isolation, batch),
        queue=queue,
        priority=priority,
        max_attempts=max_attempts or policy.within(defaults.max_attempts).most_attempts,
        timeout=timeout,
        soft_timeout=soft_timeout,
        expires=expires,
        retention=retention,
        unique=unique,
        limit=limit,
        tags=tags,
        steps=dict(steps or {}),
        keep_result=keep_result,
        batch=batch,
    )


def _module_of(function: Callable[..., Any]) -> str:
    """The name under which another process imports the function's module, also of a script."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return spec.name if spec else Path(getattr(main, "__file__", "__main__")).stem


def _isolation(
    name: str, function: Callable[..., Any], said: Isolation | None, batch: Batch | None
) -> Isolation:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(f"{name} yields: a task function returns its result")
    is_async = inspect.iscoroutinefunction(function)
    isolation = said or ("loop" if is_async else "thread")
    if isolation not in get_args(Isolation):
        raise DeclarationError(f"{name}: isolation {isolation!r} is none of loop, thread, process")
    if isolation == "process" and batch is not None:
        raise DeclarationError(
            f"{name} handles batches, which are collected where they run: in the worker's own "
            "process, on its loop or a thread"
        )
    if isolation == "loop" and not is_async:
        raise DeclarationError(
            f"{name} is an ordinary function and would block the loop: use thread"
        )
    if isolation == "thread" and is_async:
        raise DeclarationError(f"{name} is async: it runs on the loop, or isolated in a process")
    return isolation


def _check_durations(name: str, **durations: timedelta | None) -> None:
    for what, value in durations.items():
        if value is not None and value <= timedelta(0):
            raise DeclarationError(f"{name}: {what} {value} must be above 0; leave it out for none")


def _time_limits(
    name: str, timeout: timedelta | None, soft_timeout: timedelta | None, defaults: Defaults
) -> tuple[timedelta | None, timedelta | None]:
    """The hard and the soft limit; a default one gives way to the other one that was said."""
    hard, soft = timeout or defaults.timeout, soft_timeout or defaults.soft_timeout
    if hard is None or soft is None or soft < hard:
        return hard, soft
    if soft_timeout is None:
        return hard, None
    if timeout is None:
        raise DeclarationError(
            f"{name}: the soft timeout {soft} must be below the application's timeout {hard}"
        )
    raise DeclarationError(f"{name}: the soft timeout {soft} must be below the timeout {hard}")
