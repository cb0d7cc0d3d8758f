"""The log lines of a program: for people, or one JSON object a line.

Everything that is logged in the process goes the same way: Tidemill's events, the standard
library's loggers, and those of structlog. A line that is logged inside a task names it. The set-up
is the program's, not a library's: an application that embeds Tidemill calls `configure_logs` or
sets up `logging` as it likes.
"""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TextIO

import msgspec
import structlog

from tidemill.clock import EPOCH
from tidemill.context import RUNNING
from tidemill.observe.capture import Capture
from tidemill.secret import veiled

Form = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

EVENT: Final = "tidemill_event"
FIELDS: Final = "tidemill_fields"
"""Attributes of a log record: the event that it tells of, and its fields by name."""

_Line = MutableMapping[str, Any]


def log(
    component: str, level: int, text: str, event: str, fields: Mapping[str, object] | None = None
) -> None:
    """Log what a component of Tidemill tells: a text for people, and an event with its fields."""
    extra = {EVENT: event, FIELDS: dict(fields or {})}
    logging.getLogger(f"tidemill.{component}").log(level, "%s", text, extra=extra)


def configure_logs(
    form: Form, level: Level, component: str, *, stream: TextIO | None = None
) -> Callable[[], None]:
    """Let everything that is logged in this process become lines on a stream (standard error).

    `component` names the program in lines that say nothing else of where they come from. Handlers
    that write to the terminal already give way; others stay. What tasks log is kept with them.
    Answers what undoes it.
    """
    out = stream or sys.stderr
    lines = logging.StreamHandler(out)
    lines.setFormatter(_formatter(form, component))
    root = logging.getLogger()
    before, level_before = list(root.handlers), root.level
    terminal = [
        each for each in before if getattr(each, "stream", None) in (sys.stderr, sys.stdout)
    ]
    for each in terminal:
        root.removeHandler(each)
    added = [lines, Capture()]
    for each in added:
        root.addHandler(each)
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )

    def undo() -> None:
        root.handlers[:] = [each for each in root.handlers if each not in added] + terminal
        root.setLevel(level_before)
        structlog.reset_defaults()

    return undo


def _formatter(form: Form, component: str) -> logging.Formatter:
    def joined(_: Any, __: str, line: _Line) -> _Line:
        return _joined(dict(line), component)

    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.processors.format_exc_info,
            joined,
            _veiled(_as_json if form == "json" else _as_text),
        ],
    )


def _veiled(render: Callable[[Any, str, _Line], str]) -> Callable[[Any, str, _Line], str]:
    """The same, with the secrets of the running task masked in what comes out."""

    def rendered(logger: Any, name: str, line: _Line) -> str:
        running = RUNNING.get()
        return veiled(None if running is None else running.veil, render(logger, name, line))

    return rendered


def _joined(line: dict[str, Any], component: str) -> dict[str, Any]:
    """The line with where, when and about which task it was said; keys in a steady order."""
    record: logging.LogRecord = line.pop("_record")
    line.pop("_from_structlog", None)
    own = hasattr(record, EVENT)
    at = EPOCH + timedelta(seconds=record.created)
    head: dict[str, Any] = {"at": _instant(at), "level": record.levelname.lower()}
    running = RUNNING.get()
    if own:
        head |= {
            "component": record.name.removeprefix("tidemill."),
            "event": record.__dict__[EVENT],
        }
    else:
        head |= {"component": component if running is None else "task", "logger": record.name}
    head["message"] = str(line.pop("event"))
    if own:
        head |= record.__dict__[FIELDS]
    elif running is not None:
        claim = running.claim
        head |= {
            "task_id": claim.ref.task_id,
            "task_type": claim.task_type,
            "queue": claim.queue,
            "attempt": claim.attempt,
            "worker": running.worker,
            "user_id": claim.user_id,
        }
    return head | {name: value for name, value in line.items() if name not in head}


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _as_json(_: Any, __: str, line: _Line) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()


def _as_text(_: Any, __: str, line: _Line) -> str:
    """A line for people: an event as its text says it, other lines with level and fields."""
    at, level, message = line.pop("at"), line.pop("level"), line.pop("message")
    exception = line.pop("exception", None)
    component, event = line.pop("component"), line.pop("event", None)
    if event is not None:
        return f"{at}  {message}"
    where = line.pop("logger", component)
    fields = "".join(f"  {name}={value}" for name, value in line.items() if value is not None)
    text = f"{at}  {level:<7}  {where}: {message}{fields}"
    return text if exception is None else f"{text}\n{exception}"
