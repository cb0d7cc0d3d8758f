"""`tidemill queue ls|show|stats`: queues as they stand."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import Listing, age, show, show_one
from tidemill.cli.queues.options import Name
from tidemill.cli.queues.records import (
    STATISTICS,
    of,
    origin,
    queue_columns,
    queue_record,
    setting_lines,
)
from tidemill.cli.records import plain
from tidemill.cli.session import Session
from tidemill.cli.texts import Say
from tidemill.engine import Engine
from tidemill.statistics import QueueStatistics
from tidemill.task import State

if TYPE_CHECKING:
    from tidemill.app.queues import QueueInfo


def ls(context: typer.Context) -> None:
    """List queues with what they hold and the limits that they keep."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> Listing:
        infos = await app.queues.list()
        return queue_listing(infos, (await engine.marks([])).at, session.say)

    show(session, session.run(look))


def queue_listing(infos: Iterable["QueueInfo"], now: datetime, say: Say) -> Listing:
    """Queues with counts by state, and the age in seconds of what waits longest."""
    records = [queue_record(each, now) for each in infos]
    return Listing("queues", records, queue_columns(say))


def queue_show(context: typer.Context, name: Name) -> None:
    """Show one queue: its settings, who said them, and what it holds."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> tuple["QueueInfo", datetime]:
        return await app.queues.get(name), (await engine.marks([])).at

    show_queue(session, *session.run(look))


def show_queue(session: Session, info: "QueueInfo", now: datetime) -> None:
    """Print one queue."""
    say, record = session.say, queue_record(info, now)
    counts = record["counts"]
    lines = {
        "column.queue": info.name,
        "column.state": say("queue.paused" if info.paused else "queue.open"),
        "column.origin": origin(record, say) or None,
        **setting_lines(info, say),
        "queue.waiting": of(info.waiting, info.definition.capacity),
        **{
            f"state.{state.value}": counts[state.value]
            for state in State
            if counts[state.value] and state is not State.RUNNING
        },
        "state.running": of(counts["running"], info.definition.concurrency),
        "column.oldest": age(record["oldest_pending_age"]) or None,
    }
    show_one(session, record, {key: value for key, value in lines.items() if value is not None})


def queue_stats(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[QUEUE…]", help="option.queue.names")
    ] = None,
) -> None:
    """Tell what waits and runs in queues, how fast they go, and when they will be empty."""
    session = Session.of(context)

    async def look(app: Tidemill, _: Engine) -> list[QueueStatistics]:
        if not names:
            return await app.queue_statistics()
        return [each for name in names for each in await app.queue_statistics(name)]

    show(session, Listing("queues", plain(session.run(look)), STATISTICS))
