"""From what a client submits to a call that the application enqueues."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from tidemill.access import Access
from tidemill.api.bodies import ChangeQueue, ChangeSchedule, CreateQueue, SubmitTask
from tidemill.api.owning import owner_for, submitted
from tidemill.app import Call, Options, Tidemill
from tidemill.clock import duration
from tidemill.keys import Unique


def call_of(
    app: Tidemill,
    wanted: SubmitTask,
    access: Access,
    task_id: str | None = None,
    *,
    trace: Mapping[str, str] | None = None,
) -> Call[Any]:
    """The call that a caller's submit describes, as a task of its own user and project.

    `task_id` is the one to have where the client chose none, `trace` are headers that carry the
    trace of the request. Raises `UnknownTaskType`,
    `PayloadInvalid`, `PayloadTooLarge`, `ConfigError`, and `Refused` for the user or the project of
    others.
    """
    user_id, project_id = owner_for(access.tenant, wanted.user_id, wanted.project_id)
    task_type = app.function(wanted.task_type).task_type
    payload = task_type.signature.bind((), wanted.payload)
    said = _options(wanted, task_id, user_id, project_id)
    beside = submitted(access)
    if trace:
        beside = msgspec.structs.replace(beside, headers={**(beside.headers or {}), **trace})
    return Call(app, task_type, said.over(beside), payload)


def _options(
    wanted: SubmitTask, task_id: str | None, user_id: str | None, project_id: str | None
) -> Options:
    chosen = str(wanted.id) if wanted.id else task_id
    return Options(
        id=chosen,
        queue=wanted.queue_name,
        priority=wanted.priority,
        max_attempts=attempts_of(wanted.max_retries),
        delay=_seconds(wanted.delay),
        run_at=wanted.run_at,
        expires_at=wanted.expires_at,
        timeout=_seconds(wanted.timeout),
        soft_timeout=_seconds(wanted.soft_timeout),
        unique=_unique(wanted.unique_key),
        user_id=user_id,
        project_id=project_id,
        tags=wanted.tags,
    )


def _unique(key: str | None) -> Unique | None:
    return None if key is None else Unique(lambda **_: key)


def _seconds(value: float | None) -> timedelta | None:
    return None if value is None else duration(value)


def attempts_of(max_retries: int | None) -> int | None:
    """All attempts, where retries are those after the first."""
    return None if max_retries is None else max_retries + 1


def queue_options(wanted: CreateQueue | ChangeQueue) -> dict[str, Any]:
    """What is said of a queue, as `QueueOptions`."""
    said = _said(wanted)
    said.pop("name", None)
    return said


_OF_SCHEDULE = {"cron_expr": "cron", "queue_name": "queue", "task_type": "task"}


def schedule_options(wanted: ChangeSchedule) -> dict[str, Any]:
    """What is said of a schedule, as `ScheduleChanges`."""
    said = {_OF_SCHEDULE.get(name, name): value for name, value in _said(wanted).items()}
    if "max_retries" in said:
        said["max_attempts"] = attempts_of(said.pop("max_retries"))
    if "is_active" in said:
        said["paused"] = not said.pop("is_active")
    said.pop("name", None)
    return said


def _said(wanted: msgspec.Struct) -> dict[str, Any]:
    return {
        name: value
        for name in wanted.__struct_fields__
        if (value := getattr(wanted, name)) is not UNSET
    }
