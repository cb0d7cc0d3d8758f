"""Puts mail into the database: once for each user, however often and from wherever it comes."""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

import msgspec

from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.events import Listener, MailsStored
from tidemill_apps.mailroom.message import Mail, parse_mail
from tidemill_apps.services.database import Database, Outbox, insert_if_absent, utc_now
from tidemill_apps.services.files import Files

BATCH: Final = 50
"""Mails of one transaction."""

MOST_BYTES: Final = 64 * 1024 * 1024
"""A mail is cut here; most servers take less than half of it."""

_AT_ONCE: Final = 8
_LONGEST_TEXT: Final = 200_000
_LONGEST_KEY: Final = 1000


class Raw(msgspec.Struct, frozen=True):
    """The bytes of a mail; `problem` is what its source says is wrong with them, if anything."""

    data: bytes
    problem: str | None = None


class Origin(msgspec.Struct, frozen=True):
    """Whose mail it is and where it comes from; an imported mail has no account."""

    user_id: str
    account_id: str | None
    folder: str


class Stored(msgspec.Struct, frozen=True):
    """What became of mails: `malformed` of the new ones are not as their standards want them."""

    fetched: int = 0
    new: int = 0
    duplicate: int = 0
    malformed: int = 0

    def __add__(self, other: "Stored") -> "Stored":
        return Stored(
            self.fetched + other.fetched,
            self.new + other.new,
            self.duplicate + other.duplicate,
            self.malformed + other.malformed,
        )


class MailStore:
    """Stores batches of mail and tells the listeners of what is new, in one transaction."""

    def __init__(
        self, database: Database, outbox: Outbox, files: Files, listeners: Sequence[Listener]
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._files = files
        self._listeners = tuple(listeners)

    async def store(self, origin: Origin, batch: Sequence[Raw]) -> Stored:
        """Store the mails that the user does not have; what the batch holds twice counts once.

        A mail is known by its Message-ID, or by its bytes where it has none. Nothing is refused:
        what is wrong with a mail is kept beside it. The bytes are kept before the rows, so that a
        crash leaves at most a file that no row names.
        """
        parsed = await asyncio.to_thread(self._kept, batch)
        new, malformed = list[str](), 0
        async with self._database.writing() as session:
            for mail, problem in parsed:
                row = _row(origin, mail, problem)
                if await insert_if_absent(session, tables.mails, row):
                    new.append(str(row["id"]))
                    malformed += row["parse_error"] is not None
            if new:
                happened = MailsStored(origin.user_id, tuple(new))
                for listener in self._listeners:
                    await listener(session, self._outbox, happened)
        return Stored(len(parsed), len(new), len(parsed) - len(new), malformed)

    def _kept(self, batch: Sequence[Raw]) -> list[tuple[Mail, str | None]]:
        whole = [_cut(raw) for raw in batch]
        # Each waits for the disk: one after the other 100 a second are kept, eight at once 1,200.
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for _ in threads.map(self._files.put, (raw.data for raw in whole)):
                pass
        return [(parse_mail(raw.data), raw.problem) for raw in whole]


def _cut(raw: Raw) -> Raw:
    if len(raw.data) <= MOST_BYTES:
        return raw
    return Raw(raw.data[:MOST_BYTES], raw.problem or f"cut after {MOST_BYTES:,} bytes")


def _row(origin: Origin, mail: Mail, problem: str | None) -> dict[str, object]:
    wrong = "; ".join([*([problem] if problem else []), *mail.defects])
    return {
        "id": str(uuid.uuid4()),
        "user_id": origin.user_id,
        "account_id": origin.account_id,
        "folder": origin.folder,
        "message_key": mail.key if len(mail.key) <= _LONGEST_KEY else f"sha256:{mail.digest}",
        "digest": mail.digest,
        "subject": mail.subject,
        "sender_name": mail.sender.name if mail.sender else "",
        "sender": mail.sender.address[:_LONGEST_KEY] if mail.sender else "",
        "recipients": [each.address for each in (*mail.to, *mail.cc)],
        "sent_at": _sent_at(mail),
        "stored_at": utc_now(),
        "text": mail.text[:_LONGEST_TEXT],
        "parse_error": wrong or None,
    }


def _sent_at(mail: Mail) -> datetime:
    """When it was sent: what its sender claims, unless no clock can have shown that."""
    now = utc_now()
    for claimed in (mail.sent_at, mail.received_at):
        if claimed is not None and datetime(1971, 1, 1, tzinfo=UTC) < claimed <= now:
            return claimed
    return now
