"""Logs and metrics of the programs that run until they are told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from tidemill.app import Tidemill
from tidemill.cli.announce import announce_metrics
from tidemill.cli.session import Form, Session

if TYPE_CHECKING:
    from tidemill.observe.processes import Together
    from tidemill.observe.reading import Metering


class LogFormat(StrEnum):
    """How lines are laid out."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """From which level on lines are told."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Format = Annotated[LogFormat | None, typer.Option("--log-format", help="option.log_format")]
Level = Annotated[LogLevel | None, typer.Option("--log-level", help="option.log_level")]
Port = Annotated[
    int | None,
    typer.Option("--metrics-port", min=0, max=65535, metavar="NUMBER", help="option.metrics_port"),
]
Folder = Annotated[Path | None, typer.Option("--metrics-folder", hidden=True)]


def set_up_logs(
    session: Session, component: str, form: LogFormat | None, level: LogLevel | None
) -> Session:
    """Let everything that this program logs become lines on standard error.

    Answers the session as it goes on: where lines are JSON, nothing is told to people only.
    """
    from tidemill.observe.logs import configure_logs

    told = session.configuration.logs
    asked = form or LogFormat(told.format)
    if asked is LogFormat.AUTO:
        asked = LogFormat.CONSOLE if session.form is Form.TABLE else LogFormat.JSON
    configure_logs(
        "json" if asked is LogFormat.JSON else "console",
        (level or LogLevel(told.level)).value,
        component,
    )
    told_to_people = asked is LogFormat.CONSOLE or session.form is not Form.TABLE
    return session if told_to_people else replace(session, form=Form.JSONL)


@asynccontextmanager
async def observed(
    session: Session, app: Tidemill, port: int | None, folder: Path | None
) -> AsyncIterator[None]:
    """Tell metrics of this process as long as the context is open, if anybody asked for them.

    On `port`, else where the configuration says; or, below a supervisor, into its `folder`.
    """
    from tidemill.observe.processes import write_metrics
    from tidemill.observe.reading import Metering, observe, watching_loop

    wanted = session.configuration.metrics.port if port is None else port
    async with AsyncExitStack() as stack:
        if folder is not None:
            observe(app)
            await stack.enter_async_context(watching_loop(app))
            writing = asyncio.create_task(write_metrics(app, folder))
            stack.callback(writing.cancel)
        elif wanted is not None:
            metering = Metering(app)
            await stack.enter_async_context(watching_loop(app))
            await stack.enter_async_context(_served(session, metering, wanted))
        yield


class Supervised:
    """Metrics of the processes below a supervisor; `flags` are what those need to be told."""

    def __init__(self, session: Session, app: Tidemill, port: int | None) -> None:
        self._session = session
        self._app = app
        self._port = session.configuration.metrics.port if port is None else port
        self._folder = None if self._port is None else TemporaryDirectory(prefix="tidemill-")
        self._together: Together | None = None

    @property
    def flags(self) -> list[str]:
        """Words of a command line."""
        return [] if self._folder is None else ["--metrics-folder", self._folder.name]

    def ended(self, pid: int) -> None:
        """Keep what a process counted that has ended."""
        if self._together is not None:
            self._together.ended(pid)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve them as long as the context is open."""
        from tidemill.observe.processes import Together
        from tidemill.observe.reading import Metering

        if self._folder is None or self._port is None:
            yield
            return
        self._together = Together(Path(self._folder.name))
        metering = Metering(self._app, self._together.families)
        with self._folder:
            async with _served(self._session, metering, self._port):
                yield
            await self._app.close()


@asynccontextmanager
async def _served(session: Session, metering: "Metering", port: int) -> AsyncIterator[None]:
    from tidemill.observe.serving import serving_metrics

    async with serving_metrics(metering.families, port) as opened:
        announce_metrics(session, f"http://127.0.0.1:{opened}/metrics")
        yield
