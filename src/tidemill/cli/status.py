"""`tidemill status`: the whole installation on one screen."""

import asyncio
import sys
from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import print_json, show
from tidemill.cli.queues import WAITING, queue_listing, queue_records
from tidemill.cli.records import plain
from tidemill.cli.session import Form, Session
from tidemill.engine import Engine, Stats
from tidemill.task import State

_CLEAR = "\x1b[H\x1b[2J"
"""Moves to the top left corner of a terminal and clears it."""


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="option.status.watch")] = False,
    interval: Annotated[
        float,
        typer.Option("--interval", min=0.1, metavar="SECONDS", help="option.status.interval"),
    ] = 2.0,
) -> None:
    """Show the engine and its queues, once or again and again."""
    session = Session.of(context)

    async def run(app: Tidemill, engine: Engine) -> None:
        _show(session, engine, app, *await _look(app, engine))
        while watch:
            await asyncio.sleep(interval)
            found = await _look(app, engine)
            if sys.stdout.isatty():
                print(_CLEAR, end="")
            _show(session, engine, app, *found)

    session.run(run)


async def _look(app: Tidemill, engine: Engine) -> tuple[Stats, float]:
    """What there is, and how many tasks end per second."""
    queues = await app.queue_statistics()
    return await engine.stats(), sum(queue.throughput for queue in queues)


def _show(session: Session, engine: Engine, app: Tidemill, stats: Stats, throughput: float) -> None:
    unserved = _undeclared(stats, app) if session.app_path is not None else None
    if session.form is Form.TABLE:
        _show_screen(session, engine, stats, throughput, unserved)
    else:
        record = {
            "at": plain(stats.at),
            "engine": plain(engine.info),
            "totals": _totals(stats),
            "throughput": throughput,
            "queues": queue_records(stats),
            "undeclared_types": unserved,
        }
        print_json(record, indent=session.form is Form.JSON)
    sys.stdout.flush()


def _show_screen(
    session: Session,
    engine: Engine,
    stats: Stats,
    throughput: float,
    unserved: list[dict[str, Any]] | None,
) -> None:
    info, say = engine.info, session.say
    print(say("status.engine", name=info.name, place=info.location, level=info.durability))
    for warning in info.warnings:
        print(say("status.warning", text=warning))
    totals = _totals(stats)
    counted = ", ".join(f"{say(f'state.{name}')} {n:,}" for name, n in totals.items() if n)
    print(say("status.tasks", at=plain(stats.at)[:19] + "Z", counts=counted or "0"))
    print(say("status.throughput", rate=f"{throughput:.3g}"))
    if stats.queues:
        print()
        show(session, queue_listing(stats))
    for each in unserved or ():
        print(say("status.undeclared", type=each["task_type"], count=f"{each['waiting']:,}"))


def _totals(stats: Stats) -> dict[str, int]:
    totals = dict.fromkeys((state.value for state in State), 0)
    for each in stats.counts:
        totals[each.state.value] += each.count
    return totals


def _undeclared(stats: Stats, app: Tidemill) -> list[dict[str, Any]]:
    """Task types with waiting tasks that this application does not declare."""
    waiting: dict[str, int] = {}
    for each in stats.counts:
        if each.state in WAITING and each.task_type not in app.task_types:
            waiting[each.task_type] = waiting.get(each.task_type, 0) + each.count
    return [{"task_type": name, "waiting": count} for name, count in sorted(waiting.items())]
