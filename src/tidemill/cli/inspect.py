"""`tidemill inspect …`: what runs, what waits for its time, and who runs it."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import Listing, Record, age, show, show_one
from tidemill.cli.queues.records import STATISTICS
from tidemill.cli.records import plain, summary
from tidemill.cli.session import Commands, Form, Session
from tidemill.cli.texts import Say
from tidemill.engine import Engine
from tidemill.task import Task
from tidemill.worker_record import WorkerInfo

if TYPE_CHECKING:
    from tidemill.app.inspect import FleetStatistics, RegisteredType

Queue = Annotated[
    str | None, typer.Option("-Q", "--queue", metavar="QUEUE", help="option.inspect.queue")
]
_MIB = 1024 * 1024
_STATES = {"running": "state.running", "draining": "worker.draining"}


def active(context: typer.Context, queue: Queue = None) -> None:
    """List the tasks that run, the longest running first."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> tuple[list[Task], datetime]:
        return await app.inspect().active(queue), (await engine.marks([])).at

    _show_tasks(session, "active", *session.run(look))


def reserved(context: typer.Context, queue: Queue = None) -> None:
    """List the tasks that workers have claimed and not begun."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> tuple[list[Task], datetime]:
        return await app.inspect().reserved(queue), (await engine.marks([])).at

    _show_tasks(session, "reserved", *session.run(look))


def _show_tasks(session: Session, name: str, tasks: Iterable[Task], now: datetime) -> None:
    records = [summary(each) | {"age": _since(each.started_at, now)} for each in tasks]
    show(session, Listing(name, records, {**_TASK, **_HELD}, {"at": plain(now)}))


def scheduled(context: typer.Context, queue: Queue = None) -> None:
    """List the tasks that wait for their instant, the next one first."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> Listing:
        tasks = await app.inspect().scheduled(queue)
        now = (await engine.marks([])).at
        records = [
            summary(each) | {"due_in": max(0.0, (each.run_at - now).total_seconds())}
            for each in tasks
        ]
        return Listing("scheduled", records, {**_TASK, **_DUE}, {"at": plain(now)})

    show(session, session.run(look))


def stats(context: typer.Context, queue: Queue = None) -> None:
    """Tell queues and live workers in numbers."""
    session = Session.of(context)

    async def look(app: Tidemill, _: Engine) -> "FleetStatistics":
        return await app.inspect().stats(queue)

    found = session.run(look)
    record: dict[str, Any] = plain(found)
    say = session.say
    lines = {
        **{f"state.{state.value}": count for state, count in found.counts.items() if count},
        "column.workers": say("inspect.workers", live=found.workers, lost=found.lost),
        "column.held": found.running,
        "column.slots": f"{found.used:,}/{found.slots:,}",
        "column.cpu": _percent(found.cpu),
        "column.memory": _memory(found.memory),
    }
    show_one(session, record, lines)
    if session.form is Form.TABLE and record["queues"]:
        print()
        show(session, Listing("queues", record["queues"], STATISTICS))


def workers(context: typer.Context, queue: Queue = None) -> None:
    """List the worker processes, also those that were lost within the last hour."""
    session = Session.of(context)

    async def look(app: Tidemill, engine: Engine) -> Listing:
        found = await app.inspect().workers(queue)
        return worker_listing(found, (await engine.marks([])).at, session.say)

    show(session, session.run(look))


def registered(context: typer.Context, queue: Queue = None) -> None:
    """List task types with their options, and the live workers that know each."""
    session = Session.of(context)

    async def look(app: Tidemill, _: Engine) -> "list[RegisteredType]":
        return await app.inspect().registered(queue)

    show(session, Listing("registered", plain(session.run(look)), _REGISTERED))


# workers and what they hold, as records and columns


def worker_listing(infos: Iterable[WorkerInfo], now: datetime, say: Say) -> Listing:
    """Workers with what they are and do; `silent` is in seconds, since each was heard of."""
    records = [worker_record(each, now) for each in infos]
    return Listing("workers", records, worker_columns(say))


def worker_record(info: WorkerInfo, now: datetime) -> dict[str, Any]:
    """A worker; each of its tasks that runs has an `age` in seconds."""
    told: dict[str, Any] = plain(info)
    record: dict[str, Any] = told.pop("worker") | told
    for task, held in zip(record["tasks"], info.worker.tasks, strict=True):
        task["age"] = _since(info.started_at(held), now)
    return record | {"silent": (now - info.heard_at).total_seconds()}


def worker_columns(say: Say) -> Mapping[str, Callable[[Record], object]]:
    """The columns of a table of workers."""
    return {
        "column.worker": lambda record: record["name"],
        "column.host": lambda record: record["host"],
        "column.pid": lambda record: str(record["pid"]),
        "column.state": lambda record: say(
            _STATES[record["state"]] if record["live"] else "worker.lost"
        ),
        "column.queues": lambda record: record["queues"] or say("worker.all_queues"),
        "column.slots": _slots,
        "column.held": lambda record: record["running"],
        "column.cpu": lambda record: _percent(record["cpu"]),
        "column.memory": lambda record: _memory(record["memory"]),
        "column.heard": lambda record: age(record["silent"]),
    }


def held_listing(infos: Iterable[WorkerInfo], now: datetime) -> Listing:
    """The tasks that live workers run, the longest running first."""
    records = [
        task | {"worker": info.worker.name}
        for info in infos
        if info.live
        for task in worker_record(info, now)["tasks"]
        if task["age"] is not None
    ]
    return Listing("tasks", sorted(records, key=lambda each: -each["age"]), {**_TASK, **_HELD})


def _slots(record: Record) -> list[str]:
    """The pools in use, and the loop's always, each with how many of its slots are taken."""
    return [
        f"{name} {use['used']:,}/{use['size']:,}"
        for name, use in record["slots"].items()
        if use["used"] or name == "loop"
    ]


def _since(instant: datetime | None, now: datetime) -> float | None:
    return None if instant is None else max(0.0, (now - instant).total_seconds())


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def _memory(value: int | None) -> str:
    return "" if value is None else f"{value / _MIB:,.0f} MiB"


_TASK: Mapping[str, Callable[[Record], object]] = {
    "column.id": lambda record: record["id"],
    "column.type": lambda record: record["task_type"],
    "column.queue": lambda record: record["queue"],
    "column.attempt": lambda record: record["attempt"],
}
_HELD: Mapping[str, Callable[[Record], object]] = {
    "column.age": lambda record: age(record["age"]),
    "column.worker": lambda record: record["worker"],
}
_DUE: Mapping[str, Callable[[Record], object]] = {
    "column.in": lambda record: age(record["due_in"]),
}
_REGISTERED: Mapping[str, Callable[[Record], object]] = {
    "column.type": lambda record: record["name"],
    "column.queue": lambda record: record["queue"],
    "column.priority": lambda record: record["priority"],
    "column.attempts": lambda record: record["max_attempts"],
    "column.timeout": lambda record: age(record["timeout"]),
    "column.isolation": lambda record: record["isolation"],
    "column.workers": lambda record: record["workers"],
}

COMMANDS: Commands = {
    "active": active,
    "scheduled": scheduled,
    "reserved": reserved,
    "stats": stats,
    "workers": workers,
    "registered": registered,
}
