"""`app.audit`: who changed what, and when.

An entry is a document of the kind `audit:<day>`, its key the instant by the engine's clock and
something random; a document of the kind `audit` names each day that has any. So reading begins at
the newest day and reads no more days than it needs, on every engine, and a day is removed whole.
"""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tidemill.engine import Document, Engine, Put

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

AUDIT: Final = "audit"
SUBMITTED_BY: Final = "submitted_by"
"""The header of a task that names who submitted it: it stands in the place of an entry."""

BATCH: Final = 500
"""Entries that are removed in one step."""

MOST: Final = 1_000
"""Entries that are listed at once."""

Fields = dict[str, Any]
Documents = list[Document]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or one that was refused.

    `who` is the caller's name, such as `key:mailer` or `cli:ana@host`; `action` the name of the
    operation or of the command; `subject` names what it was about. `status` is that of the HTTP
    answer, or the exit code of a command. `address` is where the request came from, `request_id`
    what it called itself. `before` and `after` are the fields that differ, where they are known.
    """

    at: datetime
    who: str
    action: str
    status: int
    subject: dict[str, str] = {}
    address: str | None = None
    request_id: str | None = None
    before: Fields | None = None
    after: Fields | None = None


Listed = list[AuditEntry]

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(AuditEntry)


class Audit:
    """The changes made through the HTTP interface and the command line, whoever made them."""

    def __init__(self, app: "Tidemill") -> None:
        self._app = app

    async def record(
        self,
        who: str,
        action: str,
        *,
        status: int,
        subject: dict[str, str] | None = None,
        address: str | None = None,
        request_id: str | None = None,
        before: Fields | None = None,
        after: Fields | None = None,
    ) -> AuditEntry:
        """Note a change, at the engine's present instant. Payloads and secrets do not belong here.

        What applications change by themselves they may note here as well.
        """
        engine = await self._app.engine()
        entry = AuditEntry(
            at=(await engine.marks(())).at,
            who=who,
            action=action,
            status=status,
            subject=subject or {},
            address=address,
            request_id=request_id,
            before=before,
            after=after,
        )
        day = entry.at.date()
        key = f"{entry.at.isoformat(timespec='microseconds')}-{uuid.uuid4().hex[:12]}"
        await engine.put(
            [Put(AUDIT, day.isoformat(), b"", 0), Put(_kind(day), key, _encode(entry))]
        )
        return entry

    async def list(
        self,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        who: str | None = None,
        action: str | None = None,
        limit: int = 100,
    ) -> Listed:
        """The newest entries from `since` until before `until`, newest first, at most 1,000.

        What cannot be read, because something else wrote it, is left out.
        """
        most = min(limit, MOST)
        found: Listed = []
        async for documents in self._days(since, until):
            for document in reversed(documents):
                entry = _read(document)
                if (
                    entry is not None
                    and (since is None or entry.at >= since)
                    and (until is None or entry.at < until)
                    and who in {None, entry.who}
                    and action in {None, entry.action}
                ):
                    found.append(entry)
                    if len(found) == most:
                        return found
        return found

    async def prune(self, older_than: timedelta) -> int:
        """Remove entries that are older than that; answers how many."""
        engine = await self._app.engine()
        now = (await engine.marks(())).at
        removed = 0
        async for documents in self._days(None, now - older_than):
            old = [each for each in documents if _is_older(each, now - older_than)]
            for start in range(0, len(old), BATCH):
                batch = old[start : start + BATCH]
                await engine.put([Put(each.kind, each.key, None) for each in batch])
            removed += len(old)
            await _forget_day(engine, documents, old, now)
        return removed

    async def _days(
        self, since: datetime | None, until: datetime | None
    ) -> AsyncIterator[Documents]:
        """The entries of each day that may have some in between, the newest day first."""
        engine = await self._app.engine()
        first = since.astimezone(UTC).date() if since else date.min
        last = until.astimezone(UTC).date() if until else date.max
        for noted in reversed(await engine.documents(AUDIT)):
            day = _day(noted)
            if day is not None and first <= day <= last:
                yield await engine.documents(_kind(day))


async def _forget_day(engine: Engine, documents: Documents, old: Documents, now: datetime) -> None:
    """Forget a day of which all was removed, unless entries may still come to it."""
    if documents and len(old) == len(documents):
        day = date.fromisoformat(documents[0].kind.partition(":")[2])
        if day < now.date():
            await engine.put([Put(AUDIT, day.isoformat(), None)])


def _read(document: Document) -> AuditEntry | None:
    """An entry; None for what this version cannot read."""
    try:
        return _decoder.decode(document.body)
    except msgspec.DecodeError:
        return None


def _is_older(document: Document, instant: datetime) -> bool:
    """Whether it is older; what cannot be read never is, and stays to be looked at."""
    entry = _read(document)
    return entry is not None and entry.at < instant


def _day(noted: Document) -> date | None:
    """The day that a document names; None if it names none."""
    try:
        return date.fromisoformat(noted.key)
    except ValueError:
        return None


def _kind(day: date) -> str:
    return f"{AUDIT}:{day.isoformat()}"
