"""`tidemill audit`: who changed what; `tidemill audit prune`."""

from typing import Annotated

import typer

from tidemill.app import Tidemill
from tidemill.app.audit import Listed
from tidemill.cli.output import Listing, show, show_one
from tidemill.cli.records import plain
from tidemill.cli.session import Commands, Session
from tidemill.cli.times import duration, moment, short
from tidemill.engine import Engine


def listed(
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="option.audit.since")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="option.stats.until")
    ] = None,
    who: Annotated[str | None, typer.Option("--who", help="option.audit.who")] = None,
    action: Annotated[str | None, typer.Option("--action", help="option.audit.action")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="option.task.limit")] = 50,
) -> None:
    """List who changed what, newest first, unless a command of the group is given."""
    if context.invoked_subcommand is not None:
        return
    session = Session.of(context)

    async def read(app: Tidemill, engine: Engine) -> Listed:
        now = (await engine.marks(())).at
        return await app.audit.list(
            None if since is None else moment(since, now, session.say),
            None if until is None else moment(until, now, session.say),
            who=who,
            action=action,
            limit=limit,
        )

    columns = {
        "column.at": lambda each: short(each["at"]),
        "column.who": lambda each: each["who"],
        "column.action": lambda each: each["action"],
        "column.subject": lambda each: ", ".join(each["subject"].values()),
        "column.answer": lambda each: each["status"],
        "column.address": lambda each: each["address"],
    }
    show(session, Listing("entries", [plain(each) for each in session.run(read)], columns))


def prune(
    context: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="option.audit.older_than")
    ],
) -> None:
    """Remove entries that are older than that."""
    session = Session.of(context)
    age = duration(older_than, session.say)
    pruned = session.run(lambda app, _: app.audit.prune(age))
    show_one(session, {"pruned": pruned}, {"prune.pruned": pruned})


COMMANDS: Commands = {"prune": prune}
