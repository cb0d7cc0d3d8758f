"""What workers and schedulers tell in their logs: a line for each event worth knowing."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidemill.app import Tidemill
from tidemill.cli.promises import durability
from tidemill.cli.records import plain
from tidemill.cli.session import Form, Session
from tidemill.cli.texts import Say
from tidemill.cli.times import short
from tidemill.errors import TidemillError
from tidemill.events import (
    ConcurrencyChanged,
    EngineLost,
    EngineRecovered,
    Event,
    LeaseLost,
    MemoryGrowing,
    QueueUnserved,
    ScheduleBroken,
    ScheduleMissed,
    TaskCompleted,
    TaskFailed,
    TaskReclaimed,
    TaskRetried,
    TaskStarted,
    TaskTypeUnknown,
    WebhookDisabled,
    WebhooksMissed,
    WorkerDraining,
    WorkerLost,
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
    WorkerLost: "event.worker_lost",
    MemoryGrowing: "event.memory_growing",
    ConcurrencyChanged: "event.concurrency_changed",
    TaskStarted: "event.task_started",
    TaskCompleted: "event.task_completed",
    TaskRetried: "event.task_retried",
    TaskFailed: "event.task_failed",
    TaskReclaimed: "event.task_reclaimed",
    LeaseLost: "event.lease_lost",
    TaskTypeUnknown: "event.task_type_unknown",
    QueueUnserved: "event.queue_unserved",
    ScheduleMissed: "event.schedule_missed",
    ScheduleBroken: "event.schedule_broken",
    WebhooksMissed: "event.webhooks_missed",
    WebhookDisabled: "event.webhook_disabled",
    EngineLost: "event.engine_lost",
    EngineRecovered: "event.engine_recovered",
}
"""The events that are told, each with the key of its line. Fires are too many."""

OFTEN: Final = frozenset({TaskStarted, TaskCompleted, ConcurrencyChanged})
"""Told at debug level only: there are too many of them."""

LEVELS: Final[Mapping[type[Event], int]] = {
    TaskStarted: logging.DEBUG,
    TaskCompleted: logging.DEBUG,
    TaskRetried: logging.WARNING,
    TaskFailed: logging.ERROR,
    TaskReclaimed: logging.WARNING,
    LeaseLost: logging.WARNING,
    WorkerLost: logging.WARNING,
    MemoryGrowing: logging.WARNING,
    ConcurrencyChanged: logging.DEBUG,
    TaskTypeUnknown: logging.WARNING,
    QueueUnserved: logging.WARNING,
    ScheduleMissed: logging.WARNING,
    ScheduleBroken: logging.ERROR,
    WebhooksMissed: logging.ERROR,
    WebhookDisabled: logging.WARNING,
    EngineLost: logging.ERROR,
}
"""The level of an event where it is not info."""

COMPONENTS: Final[Mapping[type[Event], str]] = {
    TaskReclaimed: "sweeper",
    WorkerLost: "sweeper",
    TaskTypeUnknown: "sweeper",
    QueueUnserved: "sweeper",
    ScheduleMissed: "scheduler",
    ScheduleBroken: "scheduler",
    WebhooksMissed: "webhooks",
    WebhookDisabled: "webhooks",
    EngineLost: "engine",
    EngineRecovered: "engine",
}
"""Who tells an event where it is not the worker."""


def announce(app: Tidemill, session: Session) -> None:
    """Log a line for each event of this process that `TOLD` names.

    When the worker is ready, the engine's durability level and its warnings are told too.
    """
    debugging = logging.getLogger().isEnabledFor(logging.DEBUG)
    for kind in TOLD:
        if debugging or kind not in OFTEN:
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
    _log("api", "ApiStarted", session.say("event.api_started", url=url), {"url": url})


def announce_metrics(session: Session, url: str) -> None:
    """Tell where metrics are."""
    _log("metrics", "MetricsStarted", session.say("event.metrics_started", url=url), {"url": url})


def announce_login(session: Session, link: str) -> None:
    """Tell the link that signs a browser in; only people are told, not what reads lines of JSON."""
    if session.form is Form.TABLE:
        print(session.say("event.login", url=link), file=sys.stderr, flush=True)


def announce_plain(session: Session, host: str) -> None:
    """Warn of keys that go over a network as they are."""
    _log("api", "ApiPlain", session.say("api.plain", host=host), {"host": host}, logging.WARNING)


def announce_api_missing(session: Session, module: str) -> None:
    """Tell that there is no HTTP interface, and what it needs."""
    said = session.say("api.not_installed", module=module)
    _log("api", "ApiMissing", said, {"module": module}, logging.WARNING)


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
    if ended.again_in is None:
        line = session.say("event.process_ended", pid=ended.pid, code=ended.code)
    else:
        wait = ended.again_in.total_seconds()
        line = session.say(
            "event.process_replaced", pid=ended.pid, code=ended.code, wait=f"{wait:g}"
        )
    _log("supervisor", "ProcessEnded", line, plain(ended))


async def _tell_engine(app: Tidemill, session: Session) -> None:
    info, say = (await app.engine()).info, session.say
    line = say("status.engine", name=info.name, place=info.location, level=durability(info, say))
    _log("engine", "EngineOpened", line, plain(info))
    for warning in info.warnings:
        said = say("status.warning", text=warning)
        _log("engine", "EngineWarning", said, {"warning": warning}, logging.WARNING)


def _say(session: Session, event: str, key: str) -> None:
    _log("scheduler", event, session.say(key))


def _tell(session: Session, event: Event) -> None:
    kind = type(event)
    fields: dict[str, Any] = msgspec.structs.asdict(event)
    shown = {name: _text(value, session.say) for name, value in fields.items()}
    said = plain(event)
    if isinstance(said.get("error"), dict):
        said["error"].pop("traceback", None)  # with the task; a line has its fingerprint
    _log(
        COMPONENTS.get(kind, "worker"),
        kind.__name__,
        session.say(TOLD[kind], **shown),
        said,
        LEVELS.get(kind, logging.INFO),
    )


def _log(
    component: str,
    event: str,
    text: str,
    fields: Mapping[str, object] | None = None,
    level: int = logging.INFO,
) -> None:
    from tidemill.observe.logs import log

    log(component, level, text, event, fields)


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
