"""A mail of the demo: what it says, and the bytes that a mail server keeps."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import msgspec

OWNER: Final = "mara"
"""Whose mailbox it is."""

_TO: Final = f"Mara Quist <{OWNER}@harbour.example>"


class Attached(msgspec.Struct, frozen=True):
    """A file in a mail; `kind` is its content type."""

    name: str
    kind: str
    data: bytes


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail as its sender wrote it, `hours` ago.

    `key` makes its Message-ID; without one it has none. `answers` is the key of the mail that it
    answers. `page` is HTML, alone where there is no `text`. `raw` are its bytes where no program
    should have made it like that.
    """

    key: str = ""
    hours: float
    sender: str
    subject: str
    text: str = ""
    cc: str = ""
    answers: str = ""
    page: str = ""
    attached: Attached | None = None
    headers: Mapping[str, str] = {}
    raw: bytes = b""
    is_spam: bool = False


def rfc822(letter: Letter, now: datetime) -> bytes:
    """Return the mail with its lines ended as on the wire; the same for the same `now`."""
    made = EmailMessage(SMTP)
    made["From"] = letter.sender
    made["To"] = _TO
    if letter.cc:
        made["Cc"] = letter.cc
    made["Subject"] = letter.subject
    made["Date"] = format_datetime(now - timedelta(hours=letter.hours))
    if letter.key:
        made["Message-ID"] = _identity(letter.key)
    if letter.answers:
        made["In-Reply-To"] = made["References"] = _identity(letter.answers)
    for name, value in letter.headers.items():
        made[name] = value
    if letter.raw:
        return made.as_bytes().removesuffix(b"\r\n") + letter.raw
    if letter.text:
        made.set_content(letter.text.lstrip("\n"))
    if letter.page:
        add = made.add_alternative if letter.text else made.set_content
        add(letter.page, subtype="html")
    if letter.attached is not None:
        main, _, sub = letter.attached.kind.partition("/")
        made.add_attachment(
            letter.attached.data, maintype=main, subtype=sub, filename=letter.attached.name
        )
    if made.is_multipart():
        made.set_boundary(f"=-{letter.key or 'tide'}-=")
    return made.as_bytes()


def _identity(key: str) -> str:
    return f"<{key}@harbour.example>"
