"""A mail as it is sent (bytes) to a mail as it is read (a frozen value)."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from email import message_from_bytes
from email.parser import BytesHeaderParser
from typing import Final

import msgspec

from tidemill_apps.mailroom.charsets import decode
from tidemill_apps.mailroom.headers import Address, addresses, instant, message_ids, words
from tidemill_apps.mailroom.page import Page
from tidemill_apps.mailroom.parts import Attachment, Part, Piece, pieces

# What tells where a mail comes from and how it was made; one value each, the first.
_KEPT: Final = frozenset(
    "auto-submitted content-transfer-encoding content-type errors-to importance list-id"
    " list-post list-unsubscribe mime-version organization precedence priority return-path"
    " user-agent x-mailer x-priority".split()
)
_LONGEST_VALUE: Final = 1000
_MBOX_LINE: Final = re.compile(rb"\A>?From [^\n]*\n")
# What the parser calls the line by which an mbox file parts two mails, when it begins one.
_NO_DEFECT: Final = "misplaced envelope header"


class Mail(msgspec.Struct, frozen=True):
    """What a mail says, safe to store and to show: no control characters, no lone surrogates.

    `digest` is the SHA-256 of the bytes, in hex. `message_id` and those that it answers to are
    without brackets; empty if the mail has none. `sent_at` is what the sender claims and
    `received_at` what the last server wrote, both in UTC. `text` is the plain text, else what its
    page shows. `headers` holds the fields that tell about origin, by lower-case name. `defects`
    says what was wrong, in words; a mail with defects is as complete as it could be made.
    """

    digest: str
    message_id: str
    answers: tuple[str, ...]
    sender: Address | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    subject: str
    sent_at: datetime | None
    received_at: datetime | None
    text: str
    pages: tuple[Page, ...]
    content_types: tuple[str, ...]
    attachments: tuple[Attachment, ...]
    headers: Mapping[str, str]
    defects: tuple[str, ...]

    @property
    def key(self) -> str:
        """What tells this mail from every other: its id, else `sha256:` and its digest."""
        return self.message_id or f"sha256:{self.digest}"

    @property
    def is_page_only(self) -> bool:
        """Whether all its text comes from HTML."""
        return bool(self.pages) and "text/plain" not in self.content_types


def parse_mail(data: bytes) -> Mail:
    """Return the mail in `data`, whatever these bytes are: there is nothing that it refuses.

    The line by which mbox files begin a mail is no part of it.
    """
    digest = hashlib.sha256(data).hexdigest()
    data = _MBOX_LINE.sub(b"", data, count=1)
    try:
        root = message_from_bytes(data)
        for part in root.walk():
            _make_readable(part)
        found = pieces(root)
    except RecursionError:
        root, found = _flat(data)
    return _mail(digest, root, found)


def _flat(data: bytes) -> tuple[Part, tuple[Piece, ...]]:
    """Return a mail whose parts stand too deep in each other as one text."""
    root = BytesHeaderParser().parsebytes(data)
    content = str(root.get_payload()).encode("utf-8", "surrogateescape")
    defects = ("parts nested too deeply",)
    text = decode(content, "").text
    return root, (Piece(text=text, content_type="text/plain", defects=defects),)


def _make_readable(part: Part) -> None:
    """Replace what is not ASCII in the fields that the parser itself reads; they are str then."""
    for name, value in list(part.raw_items()):
        if name.lower().startswith("content-") and not value.isascii():
            part.replace_header(name, words(value))


def _mail(digest: str, root: Part, found: tuple[Piece, ...]) -> Mail:
    fields: dict[str, list[str]] = {}
    for name, value in root.raw_items():
        fields.setdefault(name.lower(), []).append(value)

    def first(name: str) -> str:
        return fields.get(name, [""])[0]

    senders = addresses(first("from")) or addresses(first("sender"))
    ids = message_ids(first("message-id"))
    defects = (defect for piece in found for defect in piece.defects if defect != _NO_DEFECT)
    return Mail(
        digest=digest,
        message_id=ids[0] if ids else "",
        answers=tuple(
            dict.fromkeys((*message_ids(first("in-reply-to")), *message_ids(first("references"))))
        ),
        sender=senders[0] if senders else None,
        reply_to=addresses(first("reply-to")),
        to=addresses(", ".join(fields.get("to", []))),
        cc=addresses(", ".join(fields.get("cc", []))),
        subject=words(first("subject")),
        sent_at=instant(first("date")),
        received_at=instant(first("received").rpartition(";")[2]),
        text="\n\n".join(piece.text.strip() for piece in found if piece.text.strip()),
        pages=tuple(piece.page for piece in found if piece.page is not None),
        content_types=tuple(piece.content_type for piece in found),
        attachments=tuple(piece.attachment for piece in found if piece.attachment is not None),
        headers={name: words(first(name))[:_LONGEST_VALUE] for name in fields if name in _KEPT},
        defects=tuple(dict.fromkeys(defects)),
    )
