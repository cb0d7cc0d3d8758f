"""What people say of a schedule, and the definition that follows from it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar, cast

import msgspec

from tidemill.app.failed import with_secrets_of
from tidemill.app.function import TaskFunction, as_duration, as_names
from tidemill.app.options import Options, distinct
from tidemill.codec import DEFAULT_CODEC
from tidemill.errors import InvalidSchedule
from tidemill.schedule import (
    Cron,
    Every,
    Misfire,
    Once,
    Overlap,
    Schedule,
    Timing,
    checked_schedule,
    next_instant,
)
from tidemill.task import NewTask

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

V = TypeVar("V", Misfire, Overlap)


class ScheduleOptions(TypedDict, total=False):
    """What a schedule may be told besides its name and its task.

    One of `cron` (five fields, in `timezone`, UTC unless said), `every` (each instant later by up
    to `jitter`) and `at`. Durations are `timedelta` or seconds, instants aware. `payload` are the
    task's arguments by name, checked at once. `queue`, `priority`, `max_attempts`, `timeout` and
    `tags` are those of its tasks, of the task type where they are not said. A task that has not
    started `expires` after its instant is cancelled. `misfire`, `misfire_limit` and `grace` decide
    about instants that are late, `overlap` about those whose predecessor still runs. Nothing fires
    before `starts_at`, nor at `ends_at` or later.
    """

    cron: str | None
    every: timedelta | float | None
    at: datetime | None
    timezone: str | None
    jitter: timedelta | float | None
    payload: Mapping[str, Any] | None
    queue: str | None
    priority: int | None
    max_attempts: int | None
    timeout: timedelta | float | None
    tags: Iterable[str] | None
    user_id: str | None
    project_id: str | None
    misfire: Misfire | Literal["skip", "once", "all"]
    misfire_limit: int
    grace: timedelta | float
    overlap: Overlap | Literal["allow", "skip", "queue"]
    starts_at: datetime | None
    ends_at: datetime | None
    expires: timedelta | float | None
    paused: bool


class ScheduleChanges(ScheduleOptions, total=False):
    """What may be changed of a schedule; `task` is another task type, for the same arguments."""

    task: TaskFunction[..., Any] | str


TIMING: Final = ("cron", "every", "at", "timezone", "jitter")
OF_TASK: Final = (
    "queue",
    "priority",
    "max_attempts",
    "timeout",
    "tags",
    "user_id",
    "project_id",
)
OF_TYPE: Final = ("queue", "priority", "max_attempts")
"""Those that the task type decides where they are None."""

OF_SCHEDULE: Final = (
    "misfire",
    "misfire_limit",
    "grace",
    "overlap",
    "starts_at",
    "ends_at",
    "expires",
    "paused",
)


def defined(
    app: "Tidemill",
    name: str,
    task: TaskFunction[..., Any] | str,
    said: ScheduleOptions,
    now: datetime,
) -> Schedule:
    """A new schedule, counted from `now`.

    Raises `InvalidSchedule`, `UnknownTaskType`, `PayloadInvalid` and `ConfigError`.
    """
    _check_names(name, said)
    template, expires = _template(app, task, said)
    return checked_schedule(
        Schedule(
            name=name,
            timing=_timing(name, None, said),
            task=template,
            since=now,
            created_at=now,
            updated_at=now,
            **{"expires": expires} | _policies(said),
        )
    )


def altered(
    app: "Tidemill", schedule: Schedule, said: ScheduleChanges, mark: datetime | None, now: datetime
) -> Schedule:
    """The same schedule with what is said changed; of a declared one the changes are noted."""
    _check_names(schedule.name, said)
    wanted = msgspec.structs.replace(
        schedule,
        timing=_timing(schedule.name, schedule.timing, said),
        task=_task(app, schedule.task, said),
        **_policies(said),
    )
    if wanted == schedule:
        return schedule
    if schedule.declared:
        noted = distinct(schedule.changed, tuple(_noted(said)))
        wanted = msgspec.structs.replace(wanted, changed=noted)
    since = since_of(schedule, wanted, mark, now)
    return checked_schedule(msgspec.structs.replace(wanted, since=since, updated_at=now))


def since_of(
    schedule: Schedule, wanted: Schedule, mark: datetime | None, now: datetime
) -> datetime:
    """From when the instants of a changed definition count.

    From now if its timing is another or it is resumed, or where the change alone would make due
    what is past, such as an earlier start: a change never fires for the past.
    """
    if wanted.timing != schedule.timing or (schedule.paused and not wanted.paused):
        return now
    begin = max(mark or schedule.since, schedule.since)
    due = next_instant(wanted, begin)
    if due is not None and due <= now and due != next_instant(schedule, begin):
        return now
    return schedule.since


def _check_names(name: str, said: Mapping[str, object]) -> None:
    for field in said.keys() - {"task", "payload", *TIMING, *OF_TASK, *OF_SCHEDULE}:
        raise InvalidSchedule(f"schedule {name}: there is no field called {field!r}", field=field)


def _noted(said: ScheduleChanges) -> list[str]:
    """The names under which an operator's changes are kept."""
    names = ["timing" if name in TIMING else name for name in said]
    return [*names, "payload"] if "task" in said else names


def _timing(name: str, present: Timing | None, said: ScheduleOptions) -> Timing:
    """The timing that is said, or the present one with another zone or jitter."""
    cron, every, at = said.get("cron"), as_duration(said.get("every")), said.get("at")
    zone, jitter = said.get("timezone"), as_duration(said.get("jitter"))
    given = [each for each in ("cron", "every", "at") if said.get(each) is not None]
    if len(given) > 1 or (present is None and not given):
        raise InvalidSchedule(
            f"schedule {name}: say when it fires by one of cron, every and at, not by "
            f"{' and '.join(given) or 'none'}",
            field="timing",
        )
    if not given and isinstance(present, Cron):
        cron = present.expression
    if not given and isinstance(present, Every):
        every, jitter = present.period, present.jitter if jitter is None else jitter
    if zone not in (None, "UTC") and cron is None:
        raise InvalidSchedule(f"schedule {name}: only cron has a timezone", field="timezone")
    if jitter and every is None:
        raise InvalidSchedule(f"schedule {name}: only every has a jitter", field="jitter")
    if cron is not None:
        return Cron(cron, zone or (present.timezone if isinstance(present, Cron) else "UTC"))
    if every is not None:
        return Every(every, jitter or timedelta())
    return present if at is None and present is not None else Once(cast("datetime", at))


def _policies(said: ScheduleOptions) -> dict[str, Any]:
    """The fields of the schedule itself, as it keeps them."""
    made: dict[str, Any] = {name: said[name] for name in OF_SCHEDULE if name in said}
    for name in ("grace", "expires"):
        if name in made:
            made[name] = as_duration(made[name])
    if "misfire" in made:
        made["misfire"] = _policy(Misfire, made["misfire"], "misfire")
    if "overlap" in made:
        made["overlap"] = _policy(Overlap, made["overlap"], "overlap")
    return made


def _policy(kind: type[V], value: str, field: str) -> V:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        raise InvalidSchedule(f"{field} {value!r} is none of {known}", field=field) from None


def _template(
    app: "Tidemill", task: TaskFunction[..., Any] | str, said: ScheduleOptions
) -> tuple[NewTask, timedelta | None]:
    """What its tasks look like, and when they expire as their type says."""
    task_type = app.function(task if isinstance(task, str) else task.name).task_type
    payload = task_type.signature.bind((), said.get("payload") or {})
    made = app.new_task(task_type, _options(said), payload)
    return msgspec.structs.replace(made, id="", expires_at=None), task_type.expires


def _options(said: ScheduleOptions) -> Options:
    made: dict[str, Any] = {name: said[name] for name in OF_TASK if name in said}
    made["timeout"] = as_duration(said.get("timeout"))
    made["tags"] = as_names(said.get("tags"))
    return Options(**made)


def _task(app: "Tidemill", present: NewTask, said: ScheduleChanges) -> NewTask:
    """The template with what is said changed.

    None stands for what the task type says. A process that does not know the type may still change
    what does not depend on it.
    """
    if "task" in said or "payload" in said:
        payload = said.get("payload")
        if "payload" not in said:
            payload = DEFAULT_CODEC.decode(present.payload)
        elif payload:
            payload = with_secrets_of(present, payload)
        kept = {name: getattr(present, name) for name in OF_TASK}
        again = cast("ScheduleOptions", {**kept, **said, "payload": payload})
        return _template(app, said.get("task", present.task_type), again)[0]
    options = _options(said)
    made = {name: getattr(options, name) for name in OF_TASK if name in said}
    if "tags" in made or None in (made.get(name, "") for name in OF_TYPE):
        task_type = app.function(present.task_type).task_type
        defaults = app.new_task(task_type, options, present.payload)
        made |= {name: getattr(defaults, name) for name in made}
    return msgspec.structs.replace(present, **made)
