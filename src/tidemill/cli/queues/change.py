"""`tidemill queue create|set|reset|pause|resume|purge`: queues at run time."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.confirm import confirm
from tidemill.cli.output import show_one
from tidemill.cli.progress import progress
from tidemill.cli.queues.look import show_queue
from tidemill.cli.queues.options import Name, read_settings, with_settings
from tidemill.cli.session import Session
from tidemill.engine import Engine
from tidemill.errors import ConfigError

if TYPE_CHECKING:
    from tidemill.app.queues import Purged, QueueInfo


@with_settings
def create(context: typer.Context, name: Name, **said: Any) -> None:
    """Make a queue; workers without a list of queues serve it at once."""
    session = Session.of(context)
    settings = read_settings(said, session.say)
    _change(session, lambda app: app.queues.create(name, **settings))


@with_settings
def set_(context: typer.Context, name: Name, **said: Any) -> None:
    """Change settings of a queue; what is not said stays as it is."""
    session = Session.of(context)
    settings = read_settings(said, session.say)
    if not settings:
        raise ConfigError(session.say("queue.say_what"))
    _change(session, lambda app: app.queues.change(name, **settings))


def reset(
    context: typer.Context,
    name: Name,
    fields: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING…]", help="option.queue.fields")
    ] = None,
) -> None:
    """Take changes of settings back: what the code says holds again."""
    named = [field.replace("-", "_") for field in fields or ()]
    _change(Session.of(context), lambda app: app.queues.reset(name, *named))


def _change(session: Session, change: Callable[[Tidemill], Awaitable["QueueInfo"]]) -> None:
    async def run(app: Tidemill, engine: Engine) -> tuple["QueueInfo", datetime]:
        return await change(app), (await engine.marks([])).at

    show_queue(session, *session.run(run))


def pause(context: typer.Context, queue: Name) -> None:
    """Stop claims from a queue."""
    _set_paused(Session.of(context), queue, paused=True)


def resume(context: typer.Context, queue: Name) -> None:
    """Let a queue be claimed from again."""
    _set_paused(Session.of(context), queue, paused=False)


def _set_paused(session: Session, name: str, *, paused: bool) -> None:
    if paused:
        session.run(lambda app, _: app.queues.pause(name))
    else:
        session.run(lambda app, _: app.queues.resume(name))
    said = "queue.paused" if paused else "queue.resumed"
    record = {"name": name, "paused": paused}
    show_one(session, record, {"column.queue": name, "column.state": session.say(said)})


def purge(
    context: typer.Context,
    queue: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="option.dry_run")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="option.yes")] = False,
) -> None:
    """Cancel every waiting task of a queue; what is enqueued meanwhile stays."""
    session = Session.of(context)
    say = session.say
    purged = session.run(lambda app, _: app.queues.purge(queue, dry_run=True))
    if not dry_run and purged.waiting:
        count = f"{purged.waiting:,}"
        confirm(session, say("queue.would_purge", count=count, queue=queue), yes=yes)
    at = purged.at

    async def run(app: Tidemill, _: Engine) -> "Purged":
        with progress(say, "queue.purging") as advance:
            return await app.queues.purge(queue, until=at, progress=advance)

    if not dry_run:
        purged = session.run(run)
    waiting, cancelled = purged.waiting, purged.cancelled
    record = {"name": queue, "waiting": waiting, "cancelled": cancelled, "dry_run": dry_run}
    show_one(
        session,
        record,
        {"column.queue": queue, "queue.waiting": waiting, "queue.cancelled": cancelled},
    )
