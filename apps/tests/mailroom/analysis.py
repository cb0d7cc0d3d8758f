"""The mailroom's analysis in a test: its tasks in virtual time, an AI provider that goes wrong."""

import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from sqlalchemy import Select, func, select, text

from tidemill import Handle, Resource, Task, Tidemill
from tidemill.testing import Harness
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.app import app
from tidemill_apps.mailroom.opening import Mailroom, open_mailroom
from tidemill_apps.mailroom.retrying import OUTAGE
from tidemill_apps.mailroom.search import MailIndex
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.store import MailStore, Origin, Raw
from tidemill_apps.mailroom.tasks.analyze import AnalyzedMail, analysis_of
from tidemill_apps.services.embedder import Embedder, HashingEmbedder
from tidemill_apps.services.keywords import SqliteKeywords
from tidemill_apps.services.llmsim.faults import Fault
from tidemill_apps.services.llmsim.running import llmsim
from tidemill_apps.services.llmsim.wire import CHAT_MODEL
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.text.offline import OfflineText
from tidemill_apps.services.text.routing import routed_embedder, routed_text
from tidemill_apps.services.vectors import SqliteVectors

HASHING: Final = HashingEmbedder()


class Provider:
    """A simulated AI provider, and the script of what goes wrong with it."""

    def __init__(self, base_url: str, model: str) -> None:
        self.base_url = base_url
        self.model = model
        self._control = httpx.Client(base_url=base_url.removesuffix("/v1"), timeout=20)

    def break_next(self, *faults: Fault) -> None:
        self._control.post("/faults", content=msgspec.json.encode(faults)).raise_for_status()

    def mend(self) -> None:
        self._control.delete("/faults").raise_for_status()

    def asked(self, route: str = "chat") -> int:
        return int(self._control.get("/requests").json()[route])

    def settings(self, *services: str, key: str | None = None) -> Mapping[str, object]:
        """The section `ai` that has this provider do these services."""
        models = {"chat": CHAT_MODEL, "embedding": self.model}
        return {
            "active_services": {service: service for service in services},
            "providers": {
                service: {"base_url": self.base_url, "model": models[service], "api_key": key}
                for service in services
            },
        }

    def close(self) -> None:
        self._control.close()


@contextmanager
def provider(embedder: Embedder = HASHING, api_key: str | None = None) -> Iterator[Provider]:
    with llmsim(embedder, api_key=api_key) as base_url:
        opened = Provider(base_url, embedder.model_id)
        yield opened
        opened.close()


class System:
    """The tasks on an engine of their own, the mailroom that they use, and one user."""

    def __init__(self, harness: Harness, room: Mailroom, user_id: str) -> None:
        self.harness = harness
        self.room = room
        self.user_id = user_id

    async def store(self, *mails: bytes, user_id: str | None = None) -> list[str]:
        """Store mails that nobody listens to; answers their ids, in order."""
        owner = user_id or self.user_id
        store = MailStore(self.room.database, self.room.outbox, self.room.files, ())
        await store.store(Origin(owner, None, "INBOX"), [Raw(data) for data in mails])
        digests = [self.room.files.put(data).digest for data in mails]
        ids = {
            row.digest: str(row.id)
            for row in await self.rows(select(tables.mails).where(tables.mails.c.user_id == owner))
        }
        return [ids[digest] for digest in digests]

    async def user(self, name: str) -> str:
        async with self.room.database.writing() as session:
            return await user_named(session, name)

    async def enqueue(self, mail_id: str, *, force: bool = False) -> Handle[AnalyzedMail]:
        return await app.enqueue(analysis_of(self.user_id, mail_id, force=force))

    async def analyze(self, mail_id: str, *, force: bool = False) -> AnalyzedMail:
        """Analyse a mail, letting time pass for its attempts."""
        handle = await self.enqueue(mail_id, force=force)
        await self.harness.run_for(minutes=1)
        return await handle.result(1)

    async def relay(self) -> None:
        """Enqueue what is in the outbox, and run what is due."""
        await self.room.outbox.relay()
        await self.harness.drain()

    async def tasks(self, task_type: str) -> list[Task]:
        return await self.harness.tasks(task_type=task_type)

    async def rows(self, wanted: Select[Any]) -> Sequence[Any]:
        async with self.room.database.reading() as session:
            return list((await session.execute(wanted)).all())

    async def run_sql(self, *statements: str) -> None:
        async with self.room.database.writing() as session:
            for statement in statements:
                await session.execute(text(statement))

    async def counts(self) -> dict[str, int]:
        """The mails of each contact by address, as their rows say."""
        rows = await self.rows(select(tables.contacts.c.address, tables.contacts.c.mails))
        return {str(address): int(mails) for address, mails in rows}

    async def counted(self) -> dict[str, int]:
        """The same, counted from the mails that have an analysis."""
        mails = tables.mails.c
        wanted = (
            select(mails.sender, func.count(mails.id.distinct()))
            .select_from(tables.mails.join(tables.analyses))
            .where(mails.sender != "")
            .group_by(mails.sender)
        )
        return {str(address): int(count) for address, count in await self.rows(wanted)}


@asynccontextmanager
async def room_of(
    app: Tidemill, place: Place, embedder: Embedder = HASHING
) -> AsyncIterator[Mailroom]:
    """The mailroom of a place, whose offline models are those of a test."""
    async with (
        open_mailroom(app, place) as room,
        routed_text(place.ai, OfflineText(embedder), OUTAGE) as said,
    ):
        with routed_embedder(place.ai, embedder) as routed:
            file = SqliteFile(place.index)
            index = MailIndex(SqliteVectors(file), SqliteKeywords(file), routed)
            yield dataclasses.replace(room, text=said, embedder=routed, index=index)
            file.close()


def resource_of(place: Place, embedder: Embedder = HASHING) -> Resource[Mailroom]:
    """What takes the place of the application's mailroom."""

    async def opened() -> AsyncIterator[Mailroom]:
        async with room_of(app, place, embedder) as room:
            yield room

    return Resource("mailroom", opened)


def place_of(folder: Path, **sections: object) -> Place:
    """A place in a folder of its own, with these sections as its configuration."""
    folder.mkdir(exist_ok=True)
    file = folder / "tidemill.yaml"
    file.write_bytes(msgspec.json.encode(sections))
    return Place.of({"TIDEMILL_MAILROOM_DIR": str(folder), "TIDEMILL_CONFIG": str(file)})


@asynccontextmanager
async def analysing(
    place: Place, embedder: Embedder = HASHING, *, concurrency: int = 1
) -> AsyncIterator[System]:
    """Everything, with tasks that run when they are told to."""
    former = app.resources
    async with room_of(app, place, embedder) as room:

        async def same() -> AsyncIterator[Mailroom]:
            yield room

        app.resources = (Resource("mailroom", same),)
        try:
            url = f"sqlite:///{place.folder / 'tasks.db'}"
            async with Harness(app, url=url, concurrency=concurrency) as harness:
                async with room.database.writing() as session:
                    user_id = await user_named(session, "ann")
                yield System(harness, room, user_id)
        finally:
            app.resources = former


def letter(
    number: int,
    body: str,
    *,
    subject: str = "",
    sender: str = "Ann <ann@mill.example>",
    to: str = "bob@pond.example",
) -> bytes:
    """A mail as a server would have it."""
    made = EmailMessage()
    made["From"], made["To"] = sender, to
    made["Subject"] = subject or f"Letter {number}"
    made["Message-ID"] = f"<letter-{number}@mill.example>"
    made["Date"] = "Mon, 2 Mar 2026 09:00:00 +0100"
    made.set_content(body)
    return made.as_bytes()
