"""What clients send, and short answers."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidemill_apps.mailroom.accounts import Security
from tidemill_apps.mailroom.labels import Label

BIGGEST_BODY: Final = 64 * 1024
"""Bytes of a body; a longer one is refused."""

# SQL stores cannot hold the character 0
_TEXT: Final = r"^[^\x00]*$"
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=_TEXT)]
Place = Annotated[str, Meta(min_length=1, max_length=255, pattern=_TEXT)]
Password = Annotated[str, Meta(min_length=1, max_length=1000, pattern=_TEXT)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Words = Annotated[tuple[Name, ...], Meta(max_length=100)]


class LabelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the user calls a mail; null takes the word back."""

    label: Label | None


class ContextBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A context: words that its mails have, addresses that write or get them."""

    name: Name
    keywords: Words = ()
    stakeholders: Words = ()


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mailbox to sync; without a `port`, 993 for tls and 143 else. No answer has the password."""

    host: Place
    username: Place
    password: Password
    security: Security = "tls"
    port: Port | None = None

    def __repr__(self) -> str:
        """Everything but the password."""
        return f"AccountBody({self.username} at {self.host})"


class Labelled(msgspec.Struct, frozen=True):
    """What a mail is called by its user."""

    id: str
    label: Label | None


class TaskAsked(msgspec.Struct, frozen=True):
    """The task that will do it; `duplicate`: it was waiting or running already."""

    task_id: str
    duplicate: bool
