"""`tidemill up`, `worker` and `scheduler`: programs that run until they are told to stop."""

import asyncio
import os
import re
import signal
import sys
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tidemill.app import Tidemill
from tidemill.cli import api
from tidemill.cli.announce import (
    announce,
    announce_end,
    announce_scheduler,
    announce_scheduler_end,
)
from tidemill.cli.observing import Folder, Format, Level, Port, Supervised, observed, set_up_logs
from tidemill.cli.session import Session
from tidemill.errors import ConfigError, EngineUnavailable
from tidemill.ids import is_name
from tidemill.settings import AUTO, WorkerSettings

if TYPE_CHECKING:
    from tidemill.node import Node

Queues = Annotated[
    list[str] | None, typer.Option("-Q", "--queues", metavar="Q1,Q2", help="option.worker.queues")
]
Concurrency = Annotated[
    str | None,
    typer.Option("-c", "--concurrency", metavar="N|auto", help="option.worker.concurrency"),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="option.worker.threads")]
Children = Annotated[int | None, typer.Option("--children", min=1, help="option.worker.children")]
Grace = Annotated[
    float | None,
    typer.Option("--grace", min=0, metavar="SECONDS", help="option.worker.grace"),
]


def up(
    context: typer.Context,
    queues: Queues = None,
    concurrency: Concurrency = None,
    threads: Threads = None,
    children: Children = None,
    grace: Grace = None,
    with_api: Annotated[bool, typer.Option("--api/--no-api", help="option.up.api")] = True,
    port: api.Port = None,
    metrics_port: Port = None,
    log_format: Format = None,
    log_level: Level = None,
) -> None:
    """Run everything that an application needs in this one process: tasks, schedules, HTTP."""
    session = set_up_logs(Session.of(context), "up", log_format, log_level)
    said = _said(
        session,
        queues=queues,
        concurrency=concurrency,
        threads=threads,
        children=children,
        grace=grace,
    )
    _serve_here(session, said, with_api=with_api, port=port, metrics_port=metrics_port)


def worker(
    context: typer.Context,
    queues: Queues = None,
    concurrency: Concurrency = None,
    threads: Threads = None,
    children: Children = None,
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="option.worker.processes")
    ] = 1,
    max_tasks: Annotated[
        int | None, typer.Option("--max-tasks", min=1, help="option.worker.max_tasks")
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option("--max-memory", min=1, metavar="MIB", help="option.worker.max_memory"),
    ] = None,
    child_max_tasks: Annotated[
        int | None, typer.Option("--child-max-tasks", min=1, help="option.worker.child_max_tasks")
    ] = None,
    child_memory: Annotated[
        int | None,
        typer.Option("--child-memory", min=1, metavar="MIB", help="option.worker.child_memory"),
    ] = None,
    grace: Grace = None,
    metrics_port: Port = None,
    log_format: Format = None,
    log_level: Level = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    metrics_folder: Folder = None,
) -> None:
    """Run an application's tasks, in one process or several."""
    session = Session.of(context)
    set_up_logs(session, "worker", log_format, log_level)
    said = _said(
        session,
        queues=queues,
        concurrency=concurrency,
        threads=threads,
        children=children,
        grace=grace,
        max_tasks=max_tasks,
        max_memory_mib=max_memory,
        child_max_tasks=child_max_tasks,
        child_memory_mib=child_memory,
    )
    if supervised:
        _serve_here(session, said, supervised=True, metrics_folder=metrics_folder)
    elif processes == 1:
        _serve_here(session, said, metrics_port=metrics_port)
    else:
        _supervise(session, said, processes, metrics_port)


def scheduler(
    context: typer.Context,
    metrics_port: Port = None,
    log_format: Format = None,
    log_level: Level = None,
) -> None:
    """Fire schedules and keep the engine in order, without running tasks."""
    import uvloop

    from tidemill.node import serve

    session = Session.of(context)
    set_up_logs(session, "scheduler", log_format, log_level)
    app = session.app()
    announce(app, session)

    async def run() -> None:
        with suppress(EngineUnavailable):  # the loops ask again and again, and tell of it
            await app.engine()
        # It begins once `serve` waits, and then signals already drain.
        telling = asyncio.create_task(announce_scheduler(app, session))
        async with observed(session, app, metrics_port, None):
            await serve(app, tasks=False)
        await telling
        announce_scheduler_end(session)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _serve_here(
    session: Session,
    said: dict[str, Any],
    *,
    supervised: bool = False,
    with_api: bool = False,
    port: int | None = None,
    metrics_port: int | None = None,
    metrics_folder: Path | None = None,
) -> None:
    """Work in this process until a signal.

    A process that wants to be replaced replaces itself, or leaves that to its supervisor.
    """
    import uvloop

    from tidemill.node import RECYCLE, serve
    from tidemill.worker.child import die_with_parent

    if supervised:
        die_with_parent(signal.SIGTERM)
    app = session.app()
    announce(app, session)
    serving = api.beside(session, app, port) if with_api else nullcontext()

    async def run() -> "Node":
        # Below a supervisor that serves no metrics nobody reads them.
        metering = observed(session, app, metrics_port, metrics_folder)
        async with nullcontext() if supervised and metrics_folder is None else metering, serving:
            return await serve(app, _settings(session, app, said))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        node = runner.run(run())
        sys.stdout.flush()
        sys.stderr.flush()
        if node.recycle and not supervised:
            os.execv(sys.executable, [sys.executable, "-m", "tidemill", *sys.argv[1:]])  # noqa: S606  # this program again
        if node.running:
            # A function is deaf to its end, and nothing else ends a thread.
            os._exit(RECYCLE if node.recycle else 0)
        if node.recycle:
            raise typer.Exit(RECYCLE)


def _supervise(
    session: Session, said: dict[str, Any], processes: int, metrics_port: int | None
) -> None:
    from tidemill.node import ProcessEnded, run_worker

    app = session.app()
    metrics = Supervised(session, app, metrics_port)

    def told(ended: ProcessEnded) -> None:
        metrics.ended(ended.pid)
        announce_end(session, ended)

    code = run_worker(
        str(app.import_path),
        _settings(session, app, said),
        processes=processes,
        told=told,
        command=[sys.executable, "-m", "tidemill", *sys.argv[1:], "--supervised", *metrics.flags],
        beside=metrics.serving(),
    )
    raise typer.Exit(code)


def _settings(session: Session, app: Tidemill, said: dict[str, Any]) -> WorkerSettings:
    """What flags say, else the configuration, else the application."""
    return msgspec.structs.replace(app.settings.worker, **session.loaded.said("worker") | said)


def _said(
    session: Session,
    *,
    queues: list[str] | None,
    concurrency: str | None,
    grace: float | None,
    **said: Any,
) -> dict[str, Any]:
    """What the flags say of a worker's settings; the rest stays as the application has it."""
    names = [name for text in queues or () for name in text.split(",") if name]
    for name in names:
        if not is_name(name):
            raise ConfigError(session.say("queues.not_a_name", name=name))
    if concurrency not in {None, AUTO} and not re.fullmatch("[1-9][0-9]*", concurrency):
        raise ConfigError(session.say("worker.no_concurrency", text=concurrency))
    said["concurrency"] = concurrency if concurrency in {None, AUTO} else int(concurrency)
    said["queues"] = tuple(names) or None
    said["grace"] = None if grace is None else timedelta(seconds=grace)
    return {name: value for name, value in said.items() if value is not None}
