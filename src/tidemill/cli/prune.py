"""`tidemill prune`: remove what ended long ago, before its own retention is over."""

from datetime import datetime
from typing import Annotated

import typer

from tidemill.app import Tidemill
from tidemill.app.pruning import ended
from tidemill.cli.confirm import confirm
from tidemill.cli.output import show_one
from tidemill.cli.progress import progress
from tidemill.cli.session import Session
from tidemill.cli.times import duration
from tidemill.engine import Engine
from tidemill.errors import ConfigError
from tidemill.task import FINAL, State


def prune(
    context: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="option.prune.older_than")
    ],
    state: Annotated[list[State] | None, typer.Option("--state", help="option.prune.state")] = None,
    task_type: Annotated[list[str] | None, typer.Option("--type", help="option.task.type")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="option.dry_run")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="option.yes")] = False,
) -> None:
    """Remove final tasks that ended longer ago than this, with results, logs and history."""
    session = Session.of(context)
    say, age = session.say, duration(older_than, session.say)
    states = frozenset(state or FINAL)
    if live := ", ".join(sorted(states - FINAL)):
        raise ConfigError(say("prune.not_final", states=live))
    types = frozenset(task_type or ())

    async def look(_: Tidemill, engine: Engine) -> tuple[datetime, int]:
        ended_by = (await engine.marks(())).at - age
        with progress(say, "prune.looking") as advance:
            found = 0
            async for ids in ended(engine, ended_by, states, types):
                found += len(ids)
                advance(found)
        return ended_by, found

    ended_by, found = session.run(look)
    if found and not dry_run:
        confirm(session, say("prune.would_remove", count=f"{found:,}", age=older_than), yes=yes)

    async def remove(_: Tidemill, engine: Engine) -> int:
        # Looked at once more: a task may have been retried while the question stood.
        with progress(say, "prune.pruning", found) as advance:
            pruned = 0
            async for ids in ended(engine, ended_by, states, types):
                pruned += sum(await engine.remove(ids))
                advance(pruned)
        return pruned

    pruned = session.run(remove) if found and not dry_run else 0
    record = {"found": found, "pruned": pruned, "dry_run": dry_run}
    show_one(session, record, {"failed.found": found, "prune.pruned": pruned})
