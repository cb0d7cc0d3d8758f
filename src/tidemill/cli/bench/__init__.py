"""`tidemill bench …`: what this machine makes of an engine, as one JSON object."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any

import typer

from tidemill.cli.output import print_json, show_one
from tidemill.cli.progress import progress
from tidemill.cli.session import Commands, Form, Session
from tidemill.errors import ConfigError

Tasks = Annotated[int, typer.Option("--tasks", min=1, help="option.bench.tasks")]
Batch = Annotated[int, typer.Option("--batch", min=1, max=10_000, help="option.bench.batch")]
Processes = Annotated[int, typer.Option("--processes", min=1, help="option.bench.processes")]
Json = Annotated[bool, typer.Option("--json", help="option.bench.json")]
Keep = Annotated[bool, typer.Option("--keep", help="option.bench.keep")]


def enqueue(
    context: typer.Context,
    tasks: Tasks = 50_000,
    batch: Batch = 200,
    processes: Processes = 1,
    json: Json = False,
    keep: Keep = False,
) -> None:
    """Measure how many tasks are accepted in a second."""
    from tidemill.cli.bench.measure import enqueue_alone, enqueue_together

    session = Session.of(context)

    async def run(url: str) -> dict[str, Any]:
        if processes == 1:
            return await enqueue_alone(url, tasks, batch, partial(progress, session.say))
        return await enqueue_together(url, tasks, batch, processes, partial(progress, session.say))

    _measured(session, "enqueue", run, json=json, keep=keep)


def drain(
    context: typer.Context,
    tasks: Tasks = 50_000,
    batch: Batch = 200,
    processes: Processes = 1,
    json: Json = False,
    keep: Keep = False,
) -> None:
    """Measure how many no-op tasks workers with default settings complete in a second."""
    from tidemill.cli.bench.measure import drain as measure

    session = Session.of(context)

    async def run(url: str) -> dict[str, Any]:
        return await measure(url, tasks, batch, processes, partial(progress, session.say))

    _measured(session, "drain", run, json=json, keep=keep)


def latency(
    context: typer.Context, tasks: Tasks = 500, json: Json = False, keep: Keep = False
) -> None:
    """Measure the time from submit to start for an idle worker."""
    from tidemill.cli.bench.measure import latency as measure

    session = Session.of(context)

    async def run(url: str) -> dict[str, Any]:
        return await measure(url, tasks, partial(progress, session.say))

    _measured(session, "latency", run, json=json, keep=keep)


def _measured(
    session: Session,
    name: str,
    run: Callable[[str], Coroutine[Any, Any, dict[str, Any]]],
    *,
    json: bool,
    keep: bool,
) -> None:
    """Measure on the named engine or a temporary one, and print the figures."""
    from tidemill.cli.bench.place import engine_at, engine_url, tidy

    async def measured(url: str) -> dict[str, Any]:
        async with engine_at(url) as engine:
            since = (await engine.stats()).at
            figures = await run(url)
            if session.url is not None and not keep:
                await tidy(engine, since)
            info = engine.info
        return {
            "bench": name,
            "engine": info.name,
            "durability": info.durability,
            "versions": info.versions,
            **figures,
        }

    if session.url is not None and session.url.startswith("memory:"):
        raise ConfigError(session.say("bench.memory"))
    with engine_url(session.url) as url:
        figures = asyncio.run(measured(url))
    if json or session.form is not Form.TABLE:
        print_json(figures)
    else:
        show_one(session, figures, {f"bench.{key}": value for key, value in figures.items()})


COMMANDS: Commands = {"enqueue": enqueue, "drain": drain, "latency": latency}
