"""`tidemill login`: a link that signs a browser in."""

import getpass
import sys
from typing import Annotated

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import show_one
from tidemill.cli.session import Session
from tidemill.engine import Engine
from tidemill.errors import ConfigError


def login(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="option.login.url")
    ] = None,
) -> None:
    """Print a link that signs a browser in once, to a server that runs on the same engine."""
    session = Session.of(context)
    told = session.configuration.server
    host = f"[{told.host}]" if ":" in told.host else told.host
    base = url or f"http://{host}:{told.port}{told.root_path}"

    async def make(app: Tidemill, engine: Engine) -> str:
        if engine.info.name == "memory":
            raise ConfigError(session.say("login.memory"))
        return link_of(base, await app.logins.create(signed_in_by()))

    link = session.run(make)
    show_one(session, {"url": link}, {"column.login": link})
    print(session.say("login.once"), file=sys.stderr)


def link_of(base: str, secret: str) -> str:
    """The link of a server that is found at `base`."""
    return f"{base.rstrip('/')}/login?token={secret}"


def signed_in_by() -> str:
    """How the audit names whoever signs in by a link that was made here."""
    try:
        return f"login:{getpass.getuser()}"
    except (KeyError, OSError):  # a user without a name, as in some containers
        return "login"
