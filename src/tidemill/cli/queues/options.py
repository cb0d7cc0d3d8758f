"""What `queue create` and `queue set` take, and how it is read."""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from tidemill.cli.texts import Say
from tidemill.cli.times import duration
from tidemill.errors import ConfigError

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="option.queue.name")]

_NUMBERS = ("concurrency", "worker_concurrency", "capacity")
_NONE = "none"


def _text(flag: str, metavar: str, help_key: str) -> Any:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=help_key)]


def _number(flag: str, help_key: str) -> Any:
    return Annotated[int | None, typer.Option(flag, min=1, help=help_key)]


SETTINGS: Mapping[str, Any] = {
    "concurrency": _text("--concurrency", "N", "option.queue.concurrency"),
    "worker_concurrency": _text("--worker-concurrency", "N", "option.queue.worker_concurrency"),
    "rate": _text("--rate", "RATE", "option.queue.rate"),
    "burst": _number("--burst", "option.queue.burst"),
    "capacity": _text("--capacity", "N", "option.queue.capacity"),
    "weight": _number("--weight", "option.queue.weight"),
    "lease": _text("--lease", "DURATION", "option.queue.lease"),
}
"""The options of a queue by the name that `app.queues` has for each."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command that typer gives all options of `SETTINGS`, as its `**said`."""
    signature = inspect.signature(command)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in SETTINGS.items()
    ]
    vars(command)["__signature__"] = signature.replace(parameters=[*own, *options])
    return command


def read_settings(said: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """What was said, as `app.queues` takes it; what was not is left out, `none` removes a limit.

    Raises `ConfigError`.
    """
    settings: dict[str, Any] = {
        name: None if value == _NONE else value for name, value in said.items() if value is not None
    }
    for name in _NUMBERS:
        if settings.get(name) is not None:
            settings[name] = _count(name, settings[name], say)
    if settings.get("lease") is not None:
        settings["lease"] = duration(settings["lease"], say)
    return settings


def _count(name: str, text: str, say: Say) -> int:
    if not text.isdecimal():
        flag = f"--{name.replace('_', '-')}"
        raise ConfigError(say("queue.not_a_number", flag=flag, text=text))
    return int(text)
