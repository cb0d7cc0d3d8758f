"""Signing a browser in: a link that is good once, and the session that comes of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from tidemill.access import FULL, Access
from tidemill.app.credentials.secrets import Known, digest_of, new_secret
from tidemill.engine import Document, Engine, Put

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

LOGIN: Final = "login"
SESSION: Final = "session"
"""The kinds of the documents, by the digests of what they are about."""

LINK_FOR: Final = timedelta(minutes=15)
SESSION_FOR: Final = timedelta(hours=12)


class Entry(msgspec.Struct, frozen=True):
    """What is kept of a link or a session: who is signed in by it, and how long it is good."""

    who: str
    until: datetime


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Entry)


class Logins:
    """The login links and the sessions of an application's engine; it keeps their digests only.

    Whoever can make a link can reach the engine, so that a session may do everything.
    """

    def __init__(self, app: "Tidemill") -> None:
        self._app = app
        self._known = Known()

    async def create(self, who: str = "login") -> str:
        """Make the secret of a link, good once within 15 minutes; `who` is for the audit."""
        engine = await self._app.engine()
        now = (await engine.marks(())).at
        await _sweep(engine, now)
        secret = new_secret()
        entry = _encode(Entry(who, now + LINK_FOR))
        await engine.put([Put(LOGIN, digest_of(secret.encode()), entry, 0)])
        return secret

    async def redeem(self, secret: str) -> str | None:
        """Use a link up; answers the secret of a session of 12 hours.

        None for a link that was used, or is too old. Of several who use it at the same time, one
        gets the session.
        """
        engine = await self._app.engine()
        [document] = await engine.get(LOGIN, [digest_of(secret.encode())])
        now = (await engine.marks(())).at
        entry = _read(document)
        if document is None or entry is None:
            return None
        [used] = await engine.put([Put(LOGIN, document.key, None, document.version)])
        if used is None or now >= entry.until:
            return None
        session = new_secret()
        body = _encode(Entry(entry.who, now + SESSION_FOR))
        await engine.put([Put(SESSION, digest_of(session.encode()), body, 0)])
        return session

    async def end(self, secret: str) -> None:
        """End a session: at once here, within a second in other processes."""
        engine = await self._app.engine()
        digest = digest_of(secret.encode())
        await engine.put([Put(SESSION, digest, None)])
        self._known.forget(digest)

    def known(self, digest: str) -> Access | None:
        """What a session proves that was good a moment ago; asks nobody."""
        return self._known.access(digest)

    async def look_up(self, digests: Sequence[str]) -> Sequence[Access | None]:
        """What sessions prove, by their digests; None for each that is not good."""
        engine = await self._app.engine()
        changes = self._known.changes
        found = await engine.get(SESSION, digests)
        now = (await engine.marks(())).at
        answers: list[Access | None] = []
        for digest, document in zip(digests, found, strict=True):
            entry = _read(document)
            if entry is None or now >= entry.until:
                answers.append(None)
                continue
            access = Access(who=entry.who, subject=f"session:{digest[:12]}", scopes=FULL)
            self._known.note(digest, access, changes)
            answers.append(access)
        return answers


async def _sweep(engine: Engine, now: datetime) -> None:
    """Remove what is no longer good; there are as many as people who signed in."""
    for kind in (LOGIN, SESSION):
        over = [
            Put(kind, each.key, None, each.version)
            for each in await engine.documents(kind)
            if (entry := _read(each)) is None or now >= entry.until
        ]
        if over:
            await engine.put(over)


def _read(document: Document | None) -> Entry | None:
    """None for what this version cannot read: it opens nothing."""
    if document is None:
        return None
    try:
        return _decoder.decode(document.body)
    except msgspec.DecodeError:
        return None
