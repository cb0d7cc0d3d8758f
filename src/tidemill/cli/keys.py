"""`tidemill key create|ls|revoke|token`: who may use the HTTP interface."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.access import Scope, Tenant
from tidemill.cli.output import Listing, show, show_one
from tidemill.cli.records import plain
from tidemill.cli.session import Commands, Session
from tidemill.cli.times import duration, short
from tidemill.errors import ConfigError
from tidemill.queue import parsed_rate, rate_text

if TYPE_CHECKING:
    from tidemill.app.credentials import ApiKey

Scopes = Annotated[
    list[Scope] | None, typer.Option("--scope", metavar="SCOPE", help="option.key.scope")
]
User = Annotated[str | None, typer.Option("--user", metavar="USER", help="option.key.user")]
Project = Annotated[
    str | None, typer.Option("--project", metavar="PROJECT", help="option.key.project")
]


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="option.key.name")],
    scopes: Scopes = None,
    user: User = None,
    project: Project = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="option.key.expires")
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="RATE", help="option.key.rate")
    ] = None,
) -> None:
    """Make an API key and print it, this once."""
    session = Session.of(context)
    said = _needed(scopes, session)
    wait = None if expires is None else duration(expires, session.say)
    paced = None if rate is None else parsed_rate(name, rate)
    made = session.run(
        lambda app, _: app.keys.create(
            name, said, tenant=Tenant(user, project), expires=wait, rate=paced
        )
    )
    record = {**_record(made.key), "key": made.text}
    show_one(session, record, {"column.key": made.text, **_lines(record)})
    print(session.say("key.once"), file=sys.stderr)


def ls(context: typer.Context) -> None:
    """List the API keys."""
    session = Session.of(context)
    found = session.run(lambda app, _: app.keys.list())
    columns = {
        "column.id": lambda each: each["id"],
        "column.name": lambda each: each["name"],
        "column.scopes": lambda each: each["scopes"],
        "column.user": lambda each: each["user_id"],
        "column.project": lambda each: each["project_id"],
        "column.rate": lambda each: each["rate"],
        "column.expires": lambda each: short(each["expires_at"]),
        "column.last_used": lambda each: short(each["last_used_at"]),
    }
    show(session, Listing("keys", [_record(each) for each in found], columns))


def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="option.key.id")],
) -> None:
    """Revoke an API key: nothing that uses it is let in any more."""
    session = Session.of(context)
    record = _record(session.run(lambda app, _: app.keys.revoke(key_id)))
    show_one(session, record, _lines(record))
    print(session.say("key.revoked"), file=sys.stderr)


def token(
    context: typer.Context,
    sub: Annotated[str, typer.Option("--sub", metavar="NAME", help="option.key.sub")],
    scopes: Scopes = None,
    user: User = None,
    project: Project = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DURATION", help="option.key.token_expires")
    ] = None,
) -> None:
    """Print a token that is signed with the secret of the configuration."""
    session = Session.of(context)
    said = _needed(scopes, session)
    try:
        from tidemill.app.credentials.tokens import Tokens
    except ImportError as error:
        raise ConfigError(session.say("api.not_installed", module="pyjwt")) from error
    wait: timedelta | None = None if expires is None else duration(expires, session.say)
    tokens = Tokens(session.configuration.server.jwt)
    text = tokens.make(sub, said, tenant=Tenant(user, project), good_for=wait)
    show_one(session, {"token": text}, {"column.token": text})


def _needed(scopes: list[Scope] | None, session: Session) -> list[Scope]:
    if not scopes:
        raise ConfigError(session.say("key.needs_scope", scopes=", ".join(Scope)))
    return scopes


def _record(key: "ApiKey") -> dict[str, Any]:
    """A key as the HTTP interface shows it."""
    told: dict[str, Any] = plain(key)
    return {
        **{name: told[name] for name in ("id", "name", "scopes")},
        **{name: told["tenant"][name] for name in ("user_id", "project_id")},
        "rate": None if key.rate is None else rate_text(key.rate),
        **{name: told[name] for name in ("created_at", "expires_at", "last_used_at")},
    }


def _lines(record: dict[str, Any]) -> dict[str, object]:
    said = {
        "column.id": record["id"],
        "column.name": record["name"],
        "column.scopes": record["scopes"],
        "column.user": record["user_id"],
        "column.project": record["project_id"],
        "column.rate": record["rate"],
        "column.expires": short(record["expires_at"]),
    }
    return {key: value for key, value in said.items() if value}


COMMANDS: Commands = {"create": create, "ls": ls, "revoke": revoke, "token": token}
