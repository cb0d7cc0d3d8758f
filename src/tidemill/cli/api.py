"""`tidemill api` and `tidemill openapi`: the HTTP interface as a program, and its description."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager as Context
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidemill.app import Tidemill
from tidemill.cli.announce import (
    announce_api,
    announce_api_missing,
    announce_engine,
    announce_login,
    announce_plain,
)
from tidemill.cli.login import link_of, signed_in_by
from tidemill.cli.observing import Format, Level, set_up_logs
from tidemill.cli.output import dumps
from tidemill.cli.session import Session
from tidemill.errors import ConfigError, TidemillError

if TYPE_CHECKING:
    import socket

    from tidemill.configuration.sections import Server

Host = Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="option.api.host")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, metavar="NUMBER", help="option.api.port")
]
NEEDED = ("litestar", "uvicorn", "httptools", "jwt")


def api(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    root_path: Annotated[
        str | None, typer.Option("--root-path", metavar="PATH", help="option.api.root_path")
    ] = None,
    log_format: Format = None,
    log_level: Level = None,
) -> None:
    """Serve the HTTP interface of an application, without running its tasks."""
    import uvloop

    session = set_up_logs(Session.of(context), "api", log_format, log_level)
    app = session.operator()
    if (missing := _missing()) is not None:
        raise ConfigError(session.say("api.not_installed", module=missing))
    listening = _listen(session, app, host, port)

    async def run() -> None:
        stopping = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, stopping.set)
        async with _served(session, app, listening, root_path):
            with suppress(TidemillError):  # each request that needs the engine tells of it
                await announce_engine(app, session)
            await stopping.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def beside(session: Session, app: Tidemill, port: int | None) -> Context[None]:
    """The HTTP interface for a program that runs tasks too; its socket is open already.

    Without a port that somebody chose it takes another one where the usual one is in use. Where the
    packages for it are not installed, it is told so once.
    """
    if (missing := _missing()) is not None:
        announce_api_missing(session, missing)
        return nullcontext()
    chosen = port is not None or "port" in session.loaded.said("server")
    try:
        listening = _listen(session, app, None, port)
    except ConfigError:
        if chosen:
            raise
        listening = _listen(session, app, None, 0)
    return _served(session, app, listening, None)


def openapi(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="option.openapi.file")] = None,
) -> None:
    """Print the OpenAPI document of the HTTP interface, or write it into a file."""
    session = Session.of(context)
    if (missing := _missing()) is not None:
        raise ConfigError(session.say("api.not_installed", module=missing))
    from tidemill.api import openapi_document

    text = dumps(openapi_document(), indent=True)
    if file is None:
        print(text)
    else:
        file.write_text(text + "\n", "utf-8")


def _missing() -> str | None:
    """A package that the HTTP interface needs and that is not installed."""
    from importlib.util import find_spec

    return next((name for name in NEEDED if find_spec(name) is None), None)


def _listen(session: Session, app: Tidemill, host: str | None, port: int | None) -> "socket.socket":
    from tidemill.api.server import LOOPBACK, listen

    told = session.configuration.server
    where = host or told.host
    guarded = where not in LOOPBACK and (told.jwt.secret is not None or _has_key(app))
    return listen(where, told.port if port is None else port, guarded=guarded)


def _has_key(app: Tidemill) -> bool:
    """Whether anybody has a key; asked on a loop of its own, before there is that of the server."""

    async def asked() -> bool:
        try:
            return await app.keys.any_valid()
        finally:
            await app.close()

    return asyncio.run(asked())


@asynccontextmanager
async def _served(
    session: Session, app: Tidemill, listening: "socket.socket", root_path: str | None
) -> AsyncIterator[None]:
    from tidemill.api import create_api
    from tidemill.api.server import is_local, serving, url_of
    from tidemill.observe.reading import watching_loop

    told = session.configuration.server
    root = told.root_path if root_path is None else root_path
    local, url = is_local(listening), url_of(listening)
    made = create_api(app, jwt=told.jwt, hosts=_hosts(told, local=local and not root))
    async with (
        watching_loop(app),
        serving(made, listening, root_path=root, end=made.end),
    ):
        link = None
        if local and not root:
            with suppress(TidemillError):  # the engine is away, and each request tells of it
                link = link_of(url, await app.logins.create(signed_in_by()))

        def announce() -> None:
            announce_api(session, url)
            if link is not None:
                announce_login(session, link)
            if not local:
                announce_plain(session, url)

        # Told once the program waits, and then signals already end it in order.
        asyncio.get_running_loop().call_soon(announce)
        yield


def _hosts(told: "Server", *, local: bool) -> frozenset[str] | None:
    """The names that may be asked for: those of the loopback, and those that are configured."""
    from tidemill.api.server import LOOPBACK

    named = frozenset(each.lower() for each in told.allowed_hosts or ())
    return LOOPBACK | named if local or named else None
