"""`tidemill config …`: is the configuration right, and where does each value come from."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tidemill.cli.masking import masked
from tidemill.cli.output import Listing, Record, show
from tidemill.cli.session import APP_VARIABLE, URL_VARIABLE, Commands, Session
from tidemill.settings import WorkerSettings

if TYPE_CHECKING:
    from tidemill.configuration import Value

SOURCES = {"default": "config.default", "code": "config.code", "flag": "config.flag"}
"""Where values come from that stand neither in a file nor in a variable."""

_HIDDEN = "***"
_DSN_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="option.config.file")] = None,
) -> None:
    """Tell everything that is wrong with a configuration."""
    session = Session.unchecked(context, file)
    mistakes = [
        {
            "file": each.place.name,
            "line": each.place.line,
            "column": each.place.column,
            "problem": masked(each.text),
        }
        for each in session.loaded.mistakes
    ]
    columns = {
        "column.place": lambda record: _place(record["file"], record["line"], record["column"]),
        "column.problem": lambda record: record["problem"],
    }
    listing = Listing("mistakes", mistakes, columns, wrapped="column.problem")
    if mistakes or session.form is not session.form.TABLE:
        show(session, listing)
    else:
        print(session.say("config.right", count=len(session.loaded.given)))
    if mistakes:
        raise typer.Exit(2)


def config_show(context: typer.Context) -> None:
    """Tell every setting that is in force, and where it was said."""
    session = Session.of(context)
    records = [
        {
            "name": each.name,
            "value": _shown(value),
            "from": source,
        }
        for each, value, source in _effective(session)
    ]
    columns = {
        "column.name": lambda record: record["name"],
        "column.value": _cell,
        "column.from": lambda record: (
            session.say(SOURCES[record["from"]]) if record["from"] in SOURCES else record["from"]
        ),
    }
    show(session, Listing("settings", records, columns))


def _effective(session: Session) -> "list[tuple[Value, Any, str]]":
    """Each setting with its value and its source, flags and the application's code included."""
    environment = dict(os.environ)  # as it was said: an application that is loaded is told more
    code = _of_code(session)
    settled = []
    for each in session.loaded.values():
        value, source = each.value, str(each.place) if each.place else "default"
        if each.place is None and each.name in code:
            value, source = code[each.name], "code"
        if each.name == "app":
            value, source = (
                session.app_path,
                _source(
                    session.app_path, value, source, environment.get(APP_VARIABLE), APP_VARIABLE
                ),
            )
        elif each.name == "engine.url":
            value, source = _engine(session, code, source, environment.get(URL_VARIABLE))
        settled.append((each, _HIDDEN if each.secret else value, source))
    return settled


def _source(
    effective: str | None, configured: Any, source: str, said: str | None, variable: str
) -> str:
    """Where a value came from that a flag or a variable of its own may have said."""
    if effective is None or effective == configured:
        return source
    return variable if said == effective else "flag"


def _engine(
    session: Session, code: dict[str, Any], source: str, said: str | None
) -> tuple[str | None, str]:
    told = session.configuration
    if session.url is None:
        return code.get("engine.url"), "code" if code else "default"
    if told.engine.url is None and session.url == told.url:
        return session.url, "redis.addr"
    return session.url, _source(session.url, told.engine.url, source, said, URL_VARIABLE)


def _of_code(session: Session) -> dict[str, Any]:
    """What the application's code says otherwise than the defaults; nothing without one."""
    if session.app_path is None:
        return {}
    app = session.app()
    plain = WorkerSettings()
    said = {
        f"worker.{field.name}": getattr(app.settings.worker, field.name)
        for field in msgspec.structs.fields(WorkerSettings)
        if getattr(app.settings.worker, field.name) != getattr(plain, field.name)
    }
    return said | {"engine.url": app.settings.url}


def _place(file: str, line: int | None, column: int | None) -> str:
    return file if line is None else f"{file}:{line}:{column}"


def _shown(value: Any) -> Any:
    plain = msgspec.to_builtins(value)
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    return _DSN_PASSWORD.sub(rf"\1{_HIDDEN}", masked(plain)) if isinstance(plain, str) else plain


def _cell(record: Record) -> object:
    value = record["value"]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


COMMANDS: Commands = {"check": check, "show": config_show}
