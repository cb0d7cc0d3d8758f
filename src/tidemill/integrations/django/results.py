"""Records of Tidemill as results of Django, and what a record must hold for that."""

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from traceback import format_exception
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.utils import timezone

from tidemill.integrations.django.names import Task, TaskError, TaskResult, TaskResultStatus
from tidemill.task import State
from tidemill.task import Task as Record

T = TypeVar("T")
_STATUS = {
    State.RUNNING: TaskResultStatus.RUNNING,
    State.COMPLETED: TaskResultStatus.SUCCESSFUL,
    State.FAILED: TaskResultStatus.FAILED,
    State.CANCELLED: TaskResultStatus.FAILED,
}
"""The states that are not here wait, and waiting is READY."""

CANCELLED = "tidemill.errors.TaskCancelledError"


class Arguments(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of a Django task: its arguments, and what Django wants back as it was given.

    All of it may be left out, as in a schedule of a function without arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    priority: int = 0
    run_after: datetime | None = None


def scaled(priority: int) -> int:
    """Django's -100..100 as Tidemill's 0..10: steps of 20, and 0 is 5."""
    return (priority + 110) // 20


def instant(given: datetime | None) -> datetime | None:
    """An instant of Django's as an aware one; without USE_TZ it is in the current time zone."""
    if given is None or timezone.is_aware(given):
        return given
    return timezone.make_aware(given)


def told(at: datetime | None) -> datetime | None:
    """An aware instant as Django's settings want it."""
    if at is None or settings.USE_TZ:
        return at
    return timezone.make_naive(at)


def new_result(
    task: Task, task_id: str, backend: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TaskResult:
    """The result of a task that is about to be enqueued; raises `TypeError` if it is no JSON."""
    return TaskResult(
        task=task,
        id=task_id,
        status=TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=list(args),
        kwargs=dict(kwargs),
        backend=backend,
        errors=[],
        worker_ids=[],
    )


def result_of(
    record: Record, declared: Task, arguments: Arguments, backend: str, value: Any = None
) -> TaskResult:
    """What Django is told of a task; `value` is what a completed one returned."""
    attempts = record.attempts
    # Not by `using`, which refuses what settings do not allow any more: this tells what was.
    task = changed(
        copy(declared),
        priority=arguments.priority,
        queue_name=record.queue,
        run_after=told(arguments.run_after),
        backend=backend,
    )
    result = TaskResult(
        task=task,
        id=record.id,
        status=_STATUS.get(record.state, TaskResultStatus.READY),
        enqueued_at=told(record.enqueued_at),
        started_at=told(attempts[0].started_at if attempts else record.started_at),
        finished_at=told(record.finished_at),
        last_attempted_at=told(record.started_at),
        args=list(arguments.args),
        kwargs=dict(arguments.kwargs),
        backend=backend,
        errors=_errors(record),
        worker_ids=[each.worker for each in attempts],
    )
    return changed(result, _return_value=value)


def changed(value: T, **fields: Any) -> T:
    """A task or result of Django's, brought up to date in place: their classes are frozen."""
    for name, each in fields.items():
        object.__setattr__(value, name, each)
    return value


def succeeded(result: TaskResult, value: Any) -> TaskResult:
    """The result of a task whose function has just returned."""
    return changed(
        result,
        status=TaskResultStatus.SUCCESSFUL,
        finished_at=timezone.now(),
        _return_value=value,
    )


def failed(result: TaskResult, error: Exception) -> TaskResult:
    """The result of a task whose function has just raised, and is not tried again."""
    kind = type(error)
    last = TaskError(
        exception_class_path=f"{kind.__module__}.{kind.__qualname__}",
        traceback="".join(format_exception(error)),
    )
    return changed(
        result,
        status=TaskResultStatus.FAILED,
        finished_at=timezone.now(),
        errors=[*result.errors, last],
    )


def _errors(record: Record) -> list[TaskError]:
    """Texts only: no class that they name is imported here."""
    found = [
        TaskError(
            exception_class_path=each.error.type,
            traceback=each.error.traceback or each.error.message,
        )
        for each in record.attempts
        if each.error is not None
    ]
    if record.state is State.CANCELLED:
        found.append(TaskError(exception_class_path=CANCELLED, traceback=record.reason or ""))
    return found
