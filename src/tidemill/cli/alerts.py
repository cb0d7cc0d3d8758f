"""`tidemill alert …`: what is not fine, and keeping it from being told for a while."""

import getpass
import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import Listing, Record, age, show, show_one
from tidemill.cli.session import Commands, Session
from tidemill.cli.times import duration
from tidemill.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tidemill.alert import Silence
    from tidemill.app.alerts import AlertInfo


_LEVELS = {"fine": "alert.fine", "warning": "alert.warning", "alarm": "alert.alarm"}


def ls(context: typer.Context) -> None:
    """List what is not fine, the worst first."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> tuple["Sequence[AlertInfo]", "datetime"]:
        return await app.alerts.list(), (await engine.marks(())).at

    found, now = session.run(look)
    records = [
        {
            "rule": each.rule,
            "subject": each.subject,
            "level": each.level.name.lower(),
            "told": each.told.name.lower(),
            "value": each.value,
            "since": each.since,
            "seconds": (now - each.since).total_seconds(),
            "silenced": each.silenced,
        }
        for each in found
    ]
    say = session.say
    columns = {
        "alert.rule": lambda record: record["rule"],
        "alert.subject": lambda record: record["subject"],
        "alert.level": lambda record: say(_LEVELS[record["level"]]),
        "alert.value": lambda record: round(record["value"], 1),
        "alert.for": lambda record: age(record["seconds"]),
        "alert.silenced": lambda record: record["silenced"],
    }
    show(session, Listing("alerts", records, columns))


def silence(
    context: typer.Context,
    lasting: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="option.alert.for")
    ] = "1h",
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="RULE", help="option.alert.rule")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="option.alert.subject")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="option.alert.reason")] = "",
) -> None:
    """Tell nothing about a rule, a subject or both for a while; without either, about nothing."""
    session = Session.of(context)
    ends_after = duration(lasting, session.say)
    by = f"{getpass.getuser()}@{socket.gethostname()}"

    async def run(app: Tidemill, _: Engine) -> "Silence":
        return await app.alerts.silence(rule, subject, lasting=ends_after, by=by, reason=reason)

    made = _record(session.run(run))
    lines = {"alert.id": made["id"], "alert.until": made["until"]}
    show_one(session, made, lines)


def silences(context: typer.Context) -> None:
    """List the silences that hold."""
    session = Session.of(context)

    async def look(app: Tidemill, _: Engine) -> "Sequence[Silence]":
        return await app.alerts.silences()

    records = [_record(each) for each in session.run(look)]
    columns = {
        "alert.id": lambda record: record["id"],
        "alert.rule": lambda record: record["rule"] or "*",
        "alert.subject": lambda record: record["subject"] or "*",
        "alert.until": lambda record: record["until"],
        "alert.by": lambda record: record["by"],
        "alert.reason": lambda record: record["reason"],
    }
    show(session, Listing("silences", records, columns))


def unsilence(
    context: typer.Context,
    silence_id: Annotated[str, typer.Argument(metavar="SILENCE", help="option.alert.id")],
) -> None:
    """End a silence now."""
    session = Session.of(context)

    async def run(app: Tidemill, _: Engine) -> None:
        await app.alerts.unsilence(silence_id)

    session.run(run)
    show_one(session, {"id": silence_id}, {"alert.ended": silence_id})


def _record(made: "Silence") -> Record:
    said: dict[str, Any] = {name: getattr(made, name) for name in made.__struct_fields__}
    return said


COMMANDS: Commands = {
    "ls": ls,
    "silence": silence,
    "silences": silences,
    "unsilence": unsilence,
}
