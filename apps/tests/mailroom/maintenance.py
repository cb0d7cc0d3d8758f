"""The mailroom's maintenance in a test: its tasks in virtual time, on engines in files."""

import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, select

from tidemill import Resource, VirtualClock
from tidemill.testing import Harness
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.app import app, mailroom
from tidemill_apps.mailroom.opening import Mailroom, open_mailroom
from tidemill_apps.mailroom.search import MailIndex
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.store import MailStore, Origin, Raw
from tidemill_apps.services.database import utc_now
from tidemill_apps.services.embedder import Embedder, HashingEmbedder
from tidemill_apps.services.keywords import SqliteKeywords
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import SqliteVectors


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the environment's mailroom; `tidemill.yaml` in it is its configuration."""
    path = tmp_path / "mailroom"
    path.mkdir()
    configured(path, "{}")
    monkeypatch.setenv("TIDEMILL_MAILROOM_DIR", str(path))
    monkeypatch.setenv("TIDEMILL_CONFIG", str(path / "tidemill.yaml"))
    return path


def configured(home: Path, mailroom: str) -> None:
    """Say what the section of the mailroom is."""
    (home / "tidemill.yaml").write_text(f"applications: {{mailroom: {mailroom}}}\n")


@asynccontextmanager
async def at_work(
    home: Path,
    embedder: Embedder | None = None,
    former: Sequence[Embedder] = (),
    clock: VirtualClock | None = None,
) -> AsyncIterator[tuple[Harness, Mailroom]]:
    """The application's tasks, and the mailroom that they use; opened again it has the same mail.

    Tasks of before are gone: the harness has an engine of its own each time.
    """
    async with open_mailroom(app, Place.of(os.environ)) as opened:
        room = _embedding(opened, embedder or HashingEmbedder(), former)

        async def shared() -> AsyncIterator[Mailroom]:
            yield room

        declared = app.resources
        app.resources = (Resource(mailroom.name, shared),)
        engine = home / f"tasks-{uuid.uuid4().hex}.db"
        try:
            async with Harness(app, url=f"sqlite:///{engine}", clock=clock) as harness:
                yield harness, room
        finally:
            app.resources = declared


def _embedding(room: Mailroom, embedder: Embedder, former: Sequence[Embedder]) -> Mailroom:
    file = SqliteFile(room.place.index)
    index = MailIndex(SqliteVectors(file), SqliteKeywords(file), embedder, former=former)
    return replace(room, embedder=embedder, index=index)


async def someone(room: Mailroom, name: str = "ann") -> str:
    async with room.database.writing() as session:
        return await user_named(session, name)


async def stored(room: Mailroom, user_id: str, mails: Sequence[bytes]) -> list[str]:
    """Store mails that nobody listens to; answers their ids, in order."""
    store = MailStore(room.database, room.outbox, room.files, ())
    await store.store(Origin(user_id, None, "INBOX"), [Raw(data) for data in mails])
    kept = await rows(room, select(tables.mails).where(tables.mails.c.user_id == user_id))
    ids = {row.digest: str(row.id) for row in kept}
    return [ids[hashlib.sha256(data).hexdigest()] for data in mails]


async def analyzed(room: Mailroom, mail_ids: Sequence[str], *, is_spam: bool = False) -> None:
    """Say that mails were analysed, of which search needs to know only whether they are spam."""
    async with room.database.writing() as session:
        for mail_id in mail_ids:
            mail = (
                await session.execute(select(tables.mails).where(tables.mails.c.id == mail_id))
            ).one()
            await session.execute(
                tables.analyses.insert().values(
                    mail_id=mail_id,
                    user_id=mail.user_id,
                    digest=mail.digest,
                    version=1,
                    category="spam" if is_spam else "work",
                    sentiment="neutral",
                    sentiment_score=0,
                    urgency="low",
                    summary="",
                    language="en",
                    action_items=[],
                    keywords=[],
                    is_spam=is_spam,
                    spam_probability=float(is_spam),
                    spam_reasons=[],
                    origin={},
                    degraded=False,
                    warnings=[],
                    analyzed_at=utc_now(),
                )
            )


async def rows(room: Mailroom, wanted: Select[Any]) -> list[Any]:
    async with room.database.reading() as session:
        return list((await session.execute(wanted)).all())
