"""What `schedule add` and `schedule edit` take, and how it is read."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import typer

from tidemill.cli.payloads import payload_from
from tidemill.cli.texts import Say
from tidemill.cli.times import duration, instant

Name = Annotated[str, typer.Argument(metavar="NAME", help="option.schedule.name")]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="option.schedule.names")]
Cron = Annotated[
    str | None, typer.Option("--cron", metavar="EXPRESSION", help="option.schedule.cron")
]
Timezone = Annotated[
    str | None, typer.Option("--timezone", metavar="ZONE", help="option.schedule.timezone")
]


def _text(flag: str, metavar: str, help_key: str) -> Any:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=help_key)]


def _of(kind: Any, flag: str, help_key: str, least: int | None = None) -> Any:
    return Annotated[kind | None, typer.Option(flag, min=least, help=help_key)]


FIELDS: Mapping[str, Any] = {
    "cron": Cron,
    "every": _text("--every", "DURATION", "option.schedule.every"),
    "at": _text("--at", "INSTANT", "option.schedule.at"),
    "timezone": Timezone,
    "jitter": _text("--jitter", "DURATION", "option.schedule.jitter"),
    "payload": Annotated[
        str | None, typer.Option("-p", "--payload", metavar="JSON", help="option.enqueue.payload")
    ],
    "queue": _of(str, "--queue", "option.enqueue.queue"),
    "priority": _of(int, "--priority", "option.enqueue.priority"),
    "max_attempts": _of(int, "--max-attempts", "option.schedule.max_attempts", 1),
    "timeout": _text("--timeout", "DURATION", "option.schedule.timeout"),
    "tags": _of(list[str], "--tag", "option.enqueue.tag"),
    "user_id": _of(str, "--user", "option.enqueue.user"),
    "project_id": _of(str, "--project", "option.enqueue.project"),
    "misfire": _of(Literal["skip", "once", "all"], "--misfire", "option.schedule.misfire"),
    "misfire_limit": _of(int, "--misfire-limit", "option.schedule.misfire_limit", 1),
    "grace": _text("--grace", "DURATION", "option.schedule.grace"),
    "overlap": _of(Literal["allow", "skip", "queue"], "--overlap", "option.schedule.overlap"),
    "starts_at": _text("--starts", "INSTANT", "option.schedule.starts"),
    "ends_at": _text("--ends", "INSTANT", "option.schedule.ends"),
    "expires": _text("--expires", "DURATION", "option.schedule.expires"),
}
"""The options of a definition by the name that `app.schedules` has for each."""

_DURATIONS = ("every", "jitter", "timeout", "grace", "expires")
_INSTANTS = ("at", "starts_at", "ends_at")
_REMOVABLE = ("starts_at", "ends_at", "expires", "timeout")
_ZONELESS = ("every", "at")
_NONE = "none"


def with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """A command that typer gives all options of `FIELDS`, as its `**said`."""
    signature = inspect.signature(command)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in FIELDS.items()
    ]
    vars(command)["__signature__"] = signature.replace(parameters=[*own, *options])
    return command


def read_fields(said: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """What was said, as `app.schedules` takes it; what was not is left out.

    `none` removes what may be absent. Instants without an offset are told by the clock in
    `timezone`. Raises `ConfigError`.
    """
    fields = {name: value for name, value in said.items() if value is not None}
    for name in _REMOVABLE:
        if fields.get(name) == _NONE:
            fields[name] = None
    for name in _INSTANTS:
        if fields.get(name) is not None:
            fields[name] = instant(fields[name], say, fields.get("timezone", "UTC"))
    for name in _DURATIONS:
        if fields.get(name) is not None:
            fields[name] = duration(fields[name], say)
    if "payload" in fields:
        fields["payload"] = payload_from(fields["payload"], say)
    if not fields.keys().isdisjoint(_INSTANTS) and not fields.keys().isdisjoint(_ZONELESS):
        fields.pop("timezone", None)  # it has told what the instants are
    return fields
