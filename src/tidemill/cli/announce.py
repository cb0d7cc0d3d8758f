"""What workers and schedulers tell on their terminal: a line for each event worth knowing."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from tidemill.app import Tidemill
from tidemill.cli.output import dumps
from tidemill.cli.promises import durability
from tidemill.cli.records import plain
from tidemill.cli.session import Form, Session
from tidemill.cli.texts import Say
from tidemill.cli.times import short
from tidemill.clock import SystemClock, from_micros
from tidemill.errors import TidemillError
from tidemill.events import (
    EngineLost,
    EngineRecovered,
    Event,
    LeaseLost,
    QueueUnserved,
    ScheduleBroken,
    ScheduleMissed,
    TaskFailed,
    TaskReclaimed,
    TaskRetried,
    TaskTypeUnknown,
    WorkerDraining,
    WorkerStarted,
    WorkerStopped,
)
from tidemill.task import TaskError

if TYPE_CHECKING:
    from tidemill.node import ProcessEnded

TOLD: Mapping[type[Event], str] = {
    WorkerStarted: "event.worker_started",
    WorkerDraining: "event.worker_draining",
    WorkerStopped: "event.worker_stopped",
    TaskRetried: "event.task_retried",
    TaskFailed: "event.task_failed",
    TaskReclaimed: "event.task_reclaimed",
    LeaseLost: "event.lease_lost",
    TaskTypeUnknown: "event.task_type_unknown",
    QueueUnserved: "event.queue_unserved",
    ScheduleMissed: "event.schedule_missed",
    ScheduleBroken: "event.schedule_broken",
    EngineLost: "event.engine_lost",
    EngineRecovered: "event.engine_recovered",
}
"""The events that are told, each with the key of its line. Completions and fires are too many."""


def announce(app: Tidemill, session: Session) -> None:
    """Print a line on standard error for each event of this process that `TOLD` names.

    When the worker is ready, the engine's durability level and its warnings are told too.
    """
    for kind in TOLD:
        app.bus.subscribe(kind, lambda event: _tell(session, event))
    opened: set[asyncio.Task[None]] = set()

    def tell_engine(_: WorkerStarted) -> None:
        telling = asyncio.get_running_loop().create_task(_tell_engine(app, session))
        opened.add(telling)
        telling.add_done_callback(opened.discard)

    app.bus.subscribe(WorkerStarted, tell_engine)


async def announce_engine(app: Tidemill, session: Session) -> None:
    """Tell the durability level and the warnings of an application's engine."""
    await _tell_engine(app, session)


def announce_api(session: Session, url: str) -> None:
    """Tell where the HTTP interface is."""
    said = session.say("event.api_started", url=url)
    _print(said if session.form is Form.TABLE else {"event": "ApiStarted", "url": url})


def announce_api_missing(session: Session, module: str) -> None:
    """Tell that there is no HTTP interface, and what it needs."""
    said = session.say("api.not_installed", module=module)
    _print(said if session.form is Form.TABLE else {"event": "ApiMissing", "module": module})


async def announce_scheduler(app: Tidemill, session: Session) -> None:
    """Tell the engine that a scheduler works on, and that it does. Its errors others tell."""
    with suppress(TidemillError):
        await _tell_engine(app, session)
        _say(session, "SchedulerStarted", "event.scheduler_started")


def announce_scheduler_end(session: Session) -> None:
    """Tell that no schedules are fired here any more."""
    _say(session, "SchedulerStopped", "event.scheduler_stopped")


def announce_end(session: Session, ended: "ProcessEnded") -> None:
    """Tell of a worker process that ended, and whether another follows."""
    if session.form is not Form.TABLE:
        _print({"event": "ProcessEnded", **plain(ended)})
    elif ended.again_in is None:
        _print(session.say("event.process_ended", pid=ended.pid, code=ended.code))
    else:
        wait = ended.again_in.total_seconds()
        line = session.say(
            "event.process_replaced", pid=ended.pid, code=ended.code, wait=f"{wait:g}"
        )
        _print(line)


async def _tell_engine(app: Tidemill, session: Session) -> None:
    info, say = (await app.engine()).info, session.say
    if session.form is not Form.TABLE:
        _print({"event": "EngineOpened", **plain(info)})
        return
    level = durability(info, say)
    _print(say("status.engine", name=info.name, place=info.location, level=level))
    for warning in info.warnings:
        _print(say("status.warning", text=warning))


def _say(session: Session, event: str, key: str) -> None:
    _print(session.say(key) if session.form is Form.TABLE else {"event": event})


def _tell(session: Session, event: Event) -> None:
    fields: dict[str, Any] = msgspec.structs.asdict(event)
    if session.form is not Form.TABLE:
        _print({"event": type(event).__name__, **plain(event)})
        return
    shown = {name: _text(value, session.say) for name, value in fields.items()}
    _print(session.say(TOLD[type(event)], **shown))


def _print(what: str | dict[str, Any]) -> None:
    """One line with the time before it, or one JSON object with the time in it."""
    at = plain(from_micros(SystemClock().now()))
    line = f"{at}  {what}" if isinstance(what, str) else dumps({"at": at, **what})
    print(line, file=sys.stderr, flush=True)


def _text(value: Any, say: Say) -> str:
    match value:
        case tuple():
            return ", ".join(value) or say("worker.all_queues")
        case None:
            return ""
        case timedelta():
            return f"{value.total_seconds():g}"
        case datetime():
            return short(plain(value))
        case TaskError():
            return " ".join(f"{value.type}: {value.message}".split())
    return str(value)
