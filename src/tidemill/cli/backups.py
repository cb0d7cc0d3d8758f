"""`tidemill backup` and `tidemill restore`: all that an engine holds in one file, and back."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tidemill.app import Tidemill
from tidemill.cli.output import show_one
from tidemill.cli.progress import progress
from tidemill.cli.records import plain
from tidemill.cli.session import Session
from tidemill.engine import Engine
from tidemill.errors import Conflict

if TYPE_CHECKING:
    from tidemill.backup import BackupReport, RestoreReport

File = Annotated[Path, typer.Argument(metavar="FILE", help="option.backup.file")]


def backup(
    context: typer.Context,
    file: File,
    verify: Annotated[bool, typer.Option("--verify", help="option.backup.verify")] = False,
) -> None:
    """Back the engine up into a file while it goes on, or check such a file."""
    from tidemill import backup as backups

    session = Session.of(context)

    async def take(_: Tidemill, engine: Engine) -> "BackupReport":
        with progress(session.say, "backup.writing") as advance:
            return await backups.backup(engine, file, progress=advance)

    report = asyncio.run(backups.verify(file)) if verify else session.run(take)
    _show(session, report)


def restore(
    context: typer.Context,
    file: File,
    into_used: Annotated[
        bool, typer.Option("--into-used", help="option.restore.into_used")
    ] = False,
) -> None:
    """Take a backup into the engine, which must be empty unless it is said otherwise."""
    from tidemill import backup as backups

    session = Session.of(context)

    async def fill(_: Tidemill, engine: Engine) -> "RestoreReport":
        with progress(session.say, "restore.restoring") as advance:
            return await backups.restore(engine, file, into_used=into_used, progress=advance)

    try:
        report = session.run(fill)
    except Conflict as error:
        raise Conflict(session.say("restore.used", problem=error)) from error
    _show(session, report)


def _show(session: Session, report: "BackupReport | RestoreReport") -> None:
    record = plain(msgspec.structs.asdict(report) | {"file": str(report.file)})
    show_one(session, record, {f"backup.{name}": value for name, value in record.items()})
