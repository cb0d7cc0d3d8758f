"""Asking before what cannot be undone."""

import sys

import typer

from tidemill.cli.session import Session
from tidemill.errors import ConfigError


def confirm(session: Session, question: str, *, yes: bool) -> None:
    """Return when it may be done; a refusal ends the command, as does having nobody to ask."""
    if yes:
        return
    print(question, file=sys.stderr)
    if not sys.stdin.isatty():
        raise ConfigError(session.say("confirm.nobody"))
    if not typer.confirm(session.say("confirm.go"), default=False, err=True):
        raise typer.Abort
