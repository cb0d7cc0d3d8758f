"""`tidemill status`: the whole installation on one screen."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
import typer

from tidemill.app import Tidemill
from tidemill.cli.inspect import held_listing, worker_listing, worker_record
from tidemill.cli.output import age, print_json, show
from tidemill.cli.queues.look import queue_listing
from tidemill.cli.records import plain
from tidemill.cli.session import Form, Session
from tidemill.engine import Engine, EngineInfo, Stats
from tidemill.serving import Unserved, unserved
from tidemill.task import State
from tidemill.worker_record import WorkerInfo

if TYPE_CHECKING:
    from tidemill.app.queues import QueueInfo

MOST_TASKS = 20
"""Running tasks that one screen shows."""


class Seen(msgspec.Struct, frozen=True):
    """What there is; `throughput` is how many tasks end per second."""

    engine: EngineInfo
    stats: Stats
    throughput: float
    queues: "list[QueueInfo]"
    workers: list[WorkerInfo]

    @property
    def unserved(self) -> Unserved:
        """What no live worker would take."""
        return unserved(self.stats, [each.worker for each in self.workers if each.live])

    @property
    def totals(self) -> dict[str, int]:
        """How many tasks there are by state, zeros included."""
        totals = dict.fromkeys((state.value for state in State), 0)
        for each in self.stats.counts:
            totals[each.state.value] += each.count
        return totals


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="option.status.watch")] = False,
    interval: Annotated[
        float,
        typer.Option("--interval", min=0.1, metavar="SECONDS", help="option.status.interval"),
    ] = 2.0,
) -> None:
    """Show the engine, its queues and workers, once or again and again."""
    session = Session.of(context)

    async def run(app: Tidemill, engine: Engine) -> None:
        if watch and session.form is Form.TABLE and sys.stdout.isatty():
            await _keep_showing(lambda: _look(app, engine), session, interval)
        _show(session, await _look(app, engine))
        while watch:
            await asyncio.sleep(interval)
            _show(session, await _look(app, engine))

    session.run(run)


async def _keep_showing(
    look: Callable[[], Awaitable[Seen]], session: Session, interval: float
) -> NoReturn:
    """Show it in place on a terminal, until it is interrupted."""
    from rich.live import Live
    from rich.text import Text

    with Live(screen=True, auto_refresh=False) as screen:
        while True:
            page = _Page()
            seen = await look()
            with redirect_stdout(page):
                _show(session, seen)
            screen.update(Text.from_ansi(page.getvalue()), refresh=True)
            await asyncio.sleep(interval)


class _Page(StringIO):
    """Takes what is printed for a terminal."""

    def isatty(self) -> bool:
        return True


async def _look(app: Tidemill, engine: Engine) -> Seen:
    return Seen(
        engine=engine.info,
        throughput=sum(queue.throughput for queue in await app.queue_statistics()),
        queues=await app.queues.list(),
        workers=await app.workers(),
        stats=await engine.stats(),
    )


def _show(session: Session, seen: Seen) -> None:
    if session.form is Form.TABLE:
        _show_screen(session, seen)
    else:
        record = {
            "at": plain(seen.stats.at),
            "engine": plain(seen.engine),
            "totals": seen.totals,
            "throughput": seen.throughput,
            "queues": queue_listing(seen.queues, seen.stats.at, session.say).records,
            "workers": [worker_record(each, seen.stats.at) for each in seen.workers],
            "unserved_queues": plain(seen.unserved.queues),
            "unknown_types": plain(seen.unserved.task_types),
        }
        print_json(record, indent=session.form is Form.JSON)
    sys.stdout.flush()


def _show_screen(session: Session, seen: Seen) -> None:
    info, say = seen.engine, session.say
    print(say("status.engine", name=info.name, place=info.location, level=info.durability))
    for warning in info.warnings:
        print(say("status.warning", text=warning))
    counted = ", ".join(f"{say(f'state.{name}')} {n:,}" for name, n in seen.totals.items() if n)
    print(say("status.tasks", at=plain(seen.stats.at)[:19] + "Z", counts=counted or "0"))
    print(say("status.throughput", rate=f"{seen.throughput:.3g}"))
    live = [each.worker for each in seen.workers if each.live]
    running = sum(each.running for each in live)
    print(say("status.workers", live=f"{len(live):,}", running=f"{running:,}"))
    for each in seen.workers:
        if not each.live:
            silence = age((seen.stats.at - each.heard_at).total_seconds())
            lost = each.worker
            named = {"worker": lost.name, "pid": lost.pid, "host": lost.host}
            print(say("status.lost", **named, age=silence, running=f"{lost.running:,}"))
    if seen.workers:
        print()
        show(session, worker_listing(seen.workers, seen.stats.at, say))
    held = held_listing(seen.workers, seen.stats.at)
    if held.records:
        print()
        show(session, replace(held, records=held.records[:MOST_TASKS]))
        if len(held.records) > MOST_TASKS:
            print(say("status.more", count=f"{running - MOST_TASKS:,}"))
    if seen.queues:
        print()
        show(session, queue_listing(seen.queues, seen.stats.at, say))
    for queue in seen.unserved.queues:
        print(say("status.unserved", queue=queue.queue, count=f"{queue.pending:,}"))
    for unknown in seen.unserved.task_types:
        count = f"{unknown.pending:,}"
        print(say("status.unknown", type=unknown.task_type, queue=unknown.queue, count=count))
