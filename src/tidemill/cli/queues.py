"""`tidemill queue …`: queues as they stand, pausing them, emptying them."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.batches import all_found, in_batches
from tidemill.cli.confirm import confirm
from tidemill.cli.output import Listing, Record, age, show, show_one
from tidemill.cli.records import plain
from tidemill.cli.session import Commands, Session
from tidemill.engine import Engine, Stats, TaskQuery
from tidemill.errors import QueueNotFound
from tidemill.statistics import QueueStatistics
from tidemill.task import State

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="option.queue.name")]
WAITING = frozenset({State.SCHEDULED, State.BLOCKED, State.PENDING})


def ls(context: typer.Context) -> None:
    """List queues with what they hold."""
    session = Session.of(context)
    show(session, queue_listing(session.run(_stats)))


def queue_listing(stats: Stats) -> Listing:
    """Queues with counts by state, and the age in seconds of what waits longest."""
    return Listing("queues", queue_records(stats), QUEUE_COLUMNS)


def queue_records(stats: Stats) -> list[dict[str, Any]]:
    """One record per queue; every state has a count, also zero."""
    records = []
    for queue in stats.queues:
        counts = dict.fromkeys((state.value for state in State), 0)
        for each in stats.counts:
            if each.queue == queue.name:
                counts[each.state.value] += each.count
        oldest = queue.oldest_pending_at
        waited = (stats.at - oldest).total_seconds() if oldest is not None else None
        records.append({**plain(queue), "oldest_pending_age": waited, "counts": counts})
    return records


def _count(state: State) -> Any:
    return lambda record: record["counts"][state.value]


def _waiting(state: State) -> Any:
    return lambda record: record["waiting"][state.value]


def _paused(record: Record) -> bool:
    return bool(record["paused"])


QUEUE_COLUMNS = {
    "column.queue": lambda record: record["name"],
    **{f"state.{state.value}": _count(state) for state in State},
    "column.oldest": lambda record: age(record["oldest_pending_age"]),
    "column.weight": lambda record: record["weight"],
    "column.paused": _paused,
}
"""The columns of a table of queues."""


def pause(context: typer.Context, queue: Name) -> None:
    """Stop claims from a queue."""
    _set_paused(Session.of(context), queue, paused=True)


def resume(context: typer.Context, queue: Name) -> None:
    """Let a queue be claimed from again."""
    _set_paused(Session.of(context), queue, paused=False)


def _set_paused(session: Session, name: str, *, paused: bool) -> None:
    async def run(app: Tidemill, engine: Engine) -> None:
        await _known(app, engine, name)
        await engine.pause(name, paused=paused)

    session.run(run)
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

    async def count(app: Tidemill, engine: Engine) -> Stats:
        return await _known(app, engine, queue)

    stats = session.run(count)
    waiting = sum(
        each.count for each in stats.counts if each.queue == queue and each.state in WAITING
    )
    if not dry_run and waiting:
        confirm(session, say("queue.would_purge", count=f"{waiting:,}", queue=queue), yes=yes)

    async def run(_: Tidemill, engine: Engine) -> int:
        query = TaskQuery(states=WAITING, queues=frozenset({queue}), enqueued_until=stats.at)
        ids = await all_found(engine, query)

        async def cancel(ids: Sequence[str]) -> int:
            answers = await engine.cancel(ids, "purged")
            return sum(state is State.CANCELLED for state in answers)

        return await in_batches(say, "queue.purging", ids, cancel)

    cancelled = 0 if dry_run else session.run(run)
    record = {"name": queue, "waiting": waiting, "cancelled": cancelled, "dry_run": dry_run}
    show_one(
        session,
        record,
        {"column.queue": queue, "queue.waiting": waiting, "queue.cancelled": cancelled},
    )


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

    records = plain(session.run(look))
    show(session, Listing("queues", records, _RATE_COLUMNS))


_RATE_COLUMNS = {
    "column.queue": lambda record: record["name"],
    **{f"state.{state.value}": _waiting(state) for state in State if state in WAITING},
    "state.running": lambda record: record["running"],
    "column.oldest": lambda record: age(record["oldest_age"]),
    "column.throughput": lambda record: f"{record['throughput']:.3g}/s",
    "column.empty_in": lambda record: age(record["empty_in"]),
    "column.paused": _paused,
}


async def _stats(_: Tidemill, engine: Engine) -> Stats:
    return await engine.stats()


async def _known(_: Tidemill, engine: Engine, name: str) -> Stats:
    """The stats, in which a queue of this name stands; raises `QueueNotFound`."""
    stats = await engine.stats()
    if name not in {queue.name for queue in stats.queues}:
        raise QueueNotFound(name)
    return stats


COMMANDS: Commands = {
    "ls": ls,
    "stats": queue_stats,
    "pause": pause,
    "resume": resume,
    "purge": purge,
}
