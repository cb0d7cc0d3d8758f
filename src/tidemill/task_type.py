"""The frozen declaration of a task type: everything that `@app.task` says."""

import inspect
import re
import string
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from tidemill.context import Context
from tidemill.errors import DeclarationError, PayloadInvalid
from tidemill.ids import is_name
from tidemill.outcome import Cancel, Snooze
from tidemill.retry import RetryPolicy
from tidemill.settings import Defaults
from tidemill.signature import Signature
from tidemill.task import HIGHEST_PRIORITY, LOWEST_PRIORITY, Retention, UniqueKey

Isolation = Literal["loop", "thread", "process"]


class Unique(msgspec.Struct, frozen=True):
    """At most one task of a type per key, in a queue: two types never share a key.

    `key` is a template over the arguments (`"index:{document_id}"`) or a function that takes all
    of them by name. It is held until the task's start, its end, or for a duration from enqueueing;
    `on_conflict` means what it means in `UniqueKey`.
    """

    key: str | Callable[..., str]
    until: Literal["start", "end"] | timedelta = "end"
    on_conflict: Literal["keep", "replace", "reject"] = "keep"

    def __post_init__(self) -> None:
        """Refuse rules that do not exist: a misspelt one would silently be another."""
        if not isinstance(self.until, timedelta) and self.until not in ("start", "end"):
            raise DeclarationError(f"unique until {self.until!r}: say start, end or a timedelta")
        if self.on_conflict not in ("keep", "replace", "reject"):
            raise DeclarationError(f"on_conflict={self.on_conflict!r}: say keep, replace or reject")

    def check(self, signature: Signature) -> None:
        """Raise `DeclarationError` unless the arguments of this signature can make the key."""
        if signature.payload_type.__struct_config__.forbid_unknown_fields:
            if isinstance(self.key, str):
                _check_template(self.key, signature)
            else:
                _check_key_function(self.key, signature)

    def of(self, task_type: str, arguments: Mapping[str, Any]) -> UniqueKey:
        """The key of one call; `PayloadInvalid` when its arguments do not fit the template."""
        if isinstance(self.key, str):
            try:
                text = self.key.format_map(arguments)
            except (LookupError, AttributeError, TypeError, ValueError) as error:
                reason = f"the unique key {self.key!r} cannot be made of it: {error!r}"
                raise PayloadInvalid(reason, task_type=task_type) from error
        else:
            text = self.key(**arguments)
            if not isinstance(text, str):
                raise DeclarationError(
                    f"the unique key function of {task_type} answered {text!r}, not a text"
                )
        key = f"{task_type}:{text}"
        if isinstance(self.until, timedelta):
            return UniqueKey(key, on_conflict=self.on_conflict, lasting=self.until)
        return UniqueKey(key, self.until, self.on_conflict)


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
    signature = Signature.of(
        function, task_type=name, context=Context, not_results=(Snooze, Cancel), codec=codec
    )
    if unique is not None:
        unique.check(signature)
    return TaskType(
        name=name,
        function=function,
        signature=signature,
        retry=policy,
        isolation=_isolation(name, function, isolation),
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


def _isolation(name: str, function: Callable[..., Any], said: Isolation | None) -> Isolation:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(f"{name} yields: a task function returns its result")
    is_async = inspect.iscoroutinefunction(function)
    isolation = said or ("loop" if is_async else "thread")
    if isolation not in get_args(Isolation):
        raise DeclarationError(f"{name}: isolation {isolation!r} is none of loop, thread, process")
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


def _check_template(template: str, signature: Signature) -> None:
    try:
        names = list(_fields(template))
    except ValueError as error:
        raise DeclarationError(
            f"the unique key {template!r} of {signature.task_type} is not a template: {error}"
        ) from error
    for name in names:
        if name not in signature.parameters:
            known = ", ".join(signature.parameters) or "none"
            raise DeclarationError(
                f"the unique key {template!r} of {signature.task_type} names {name!r}, which is "
                f"no argument (its arguments: {known})"
            )


def _fields(template: str) -> Iterator[str]:
    """The arguments that a format template names, also inside its format specifications."""
    for _, field, specification, _ in string.Formatter().parse(template):
        if field is not None:
            yield re.split(r"[.\[]", field, maxsplit=1)[0]
            yield from _fields(specification or "")


def _check_key_function(key: Callable[..., str], signature: Signature) -> None:
    try:
        inspect.signature(key).bind(**dict.fromkeys(signature.parameters))
    except TypeError as error:
        takes = ", ".join(signature.parameters)
        raise DeclarationError(
            f"the unique key function of {signature.task_type} is called with all arguments by "
            f"name ({takes}) and cannot take them: {error}; **others takes what it does not need"
        ) from error
