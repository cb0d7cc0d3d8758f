"""What commands leave in the audit: one entry for each that has changed something."""

import getpass
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import typer

from tidemill.cli.session import Session
from tidemill.errors import TidemillError

CHANGING: Final = frozenset(
    {
        "migrate",
        "reindex",
        "prune",
        "restore",
        "login",
        "task retry",
        "task cancel",
        "queue create",
        "queue set",
        "queue reset",
        "queue pause",
        "queue resume",
        "queue purge",
        "failed retry",
        "failed edit",
        "failed drop",
        "workflow cancel",
        "workflow retry",
        "schedule add",
        "schedule edit",
        "schedule run",
        "schedule pause",
        "schedule resume",
        "schedule rm",
        "key create",
        "key revoke",
        "webhook create",
        "webhook rotate",
        "webhook pause",
        "webhook resume",
        "webhook test",
        "webhook delete",
        "alert silence",
        "alert unsilence",
        "audit prune",
    }
)
"""The commands that change what an engine holds."""

SUBMITTING: Final = frozenset({"enqueue"})
"""Commands whose tasks carry who submitted them, instead of an entry."""

READING: Final = frozenset(
    {
        "up",
        "worker",
        "scheduler",
        "api",
        "status",
        "stats",
        "doctor",
        "backup",
        "openapi",
        "task ls",
        "task show",
        "task logs",
        "queue ls",
        "queue show",
        "queue stats",
        "failed ls",
        "failed groups",
        "workflow ls",
        "workflow show",
        "schedule ls",
        "schedule show",
        "schedule next",
        "schedule history",
        "schedule status",
        "key ls",
        "key token",
        "webhook ls",
        "webhook show",
        "config check",
        "config show",
        "inspect active",
        "inspect scheduled",
        "inspect reserved",
        "inspect stats",
        "inspect workers",
        "inspect registered",
        "alert ls",
        "alert silences",
        "audit",
        "bench enqueue",
        "bench drain",
        "bench latency",
    }
)
"""Commands that change nothing themselves, or nothing outside of what they made."""

_TOLD: Final = frozenset(
    "queue task_type state older_than fingerprint every cron at timezone concurrency rate burst "
    "worker_concurrency capacity weight lease scopes user project user_id project_id "
    "expires".split()
)
"""Options that an entry tells besides the names of things; none of them holds a payload."""

_LONGEST: Final = 200


def who() -> str:
    """How the audit names whoever uses the command line here."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = "?"
    return f"cli:{user}@{socket.gethostname()}"


def command_of(context: typer.Context) -> str:
    """The command that runs, without the program's name."""
    return context.command_path.partition(" ")[2]


@contextmanager
def noted(context: typer.Context) -> Iterator[None]:
    """Note the command that runs inside, if it is one that changes something and it did.

    One that ends with an error has changed nothing; one that ends with another exit code than 0
    has done a part, and is noted with that code. A dry run changes nothing.
    """
    code = 0
    try:
        yield
    except typer.Exit as ended:
        code = ended.exit_code
        raise
    finally:
        ended_well = sys.exception() is None or isinstance(sys.exception(), typer.Exit)
        if ended_well and command_of(context) in CHANGING and not context.params.get("dry_run"):
            _note(context, code)


def _note(context: typer.Context, code: int) -> None:
    """Write the entry; the command has done its work, so a failure here is told and no more."""
    session = Session.of(context)
    try:
        session.run(
            lambda app, _: app.audit.record(
                who(), command_of(context), status=code, subject=_subject(context)
            )
        )
    except TidemillError as error:
        print(session.say("audit.lacking", problem=session.say.error(error)), file=sys.stderr)


def _subject(context: typer.Context) -> dict[str, str]:
    named = {
        param.name: context.params.get(param.name)
        for param in context.command.params
        if param.name and (param.param_type_name == "argument" or param.name in _TOLD)
    }
    if "url" in named:
        named["url"] = _host(str(named["url"]))
    return {name: _text(value) for name, value in named.items() if value not in (None, [], ())}


def _host(url: str) -> str:
    """Of a URL no more than the host: the rest may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def _text(value: Any) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return ", ".join(map(str, parts))[:_LONGEST]
