"""Everything that the mailroom's tasks, its command line and its API share, opened once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from tidemill import Tidemill
from tidemill.sealing import Keyring
from tidemill_apps.mailroom.judging import SpamFilters
from tidemill_apps.mailroom.retrying import OUTAGE
from tidemill_apps.mailroom.search import MailIndex
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.store import MOST_BYTES
from tidemill_apps.services.database import Database, Outbox, migrate
from tidemill_apps.services.embedder import Embedder, SentenceEncoder
from tidemill_apps.services.files import Files
from tidemill_apps.services.keywords import KeywordIndex, SqliteKeywords
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.text.offline import OfflineText
from tidemill_apps.services.text.routing import RoutedText, routed_embedder, routed_text
from tidemill_apps.services.vectors import SqliteVectors, VectorStore, open_vectors

PACKAGE: Final = "tidemill_apps.mailroom"


@dataclass(frozen=True, slots=True)
class Mailroom:
    """The open mailroom of one process and one event loop."""

    place: Place
    database: Database
    outbox: Outbox
    files: Files
    keyring: Keyring
    embedder: Embedder
    text: RoutedText
    index: MailIndex
    spam_filters: SpamFilters


@asynccontextmanager
async def open_mailroom(app: Tidemill, place: Place) -> AsyncIterator[Mailroom]:
    """Open everything that `place` names; its tables are made or brought up to date first.

    Tasks that are recorded with a change are enqueued soon after its commit, here or by whichever
    process has the mailroom open: `app` must know their types (import `mailroom.tasks`). Models are
    loaded with the first text.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    engine_url = app.settings.url
    await migrate(place.database, PACKAGE, engine_url=engine_url)
    async with AsyncExitStack() as stack:
        database = Database(place.database, engine_url=engine_url)
        stack.push_async_callback(database.close)
        offline = SentenceEncoder()
        text = routed_text(place.ai, OfflineText(offline), OUTAGE)
        embedder = stack.enter_context(routed_embedder(place.ai, offline))
        yield Mailroom(
            place=place,
            database=database,
            outbox=await stack.enter_async_context(Outbox(app, database).running()),
            files=Files(place.mails, most_bytes=MOST_BYTES),
            keyring=await asyncio.to_thread(place.keyring),
            embedder=embedder,
            text=await stack.enter_async_context(text),
            index=await asyncio.to_thread(_index, stack, place, embedder, offline),
            spam_filters=SpamFilters(place.mailroom.spam.filter),
        )


def _index(stack: AsyncExitStack, place: Place, embedder: Embedder, offline: Embedder) -> MailIndex:
    """Where search looks: one file for both vectors and words, where no server is named.

    What the offline model has embedded answers until all mail is embedded by a provider's.
    """
    file = SqliteFile(place.index)
    stack.callback(file.close)
    shared = place.mailroom.vectors is None and place.mailroom.keywords is None
    return MailIndex(
        _vectors(stack, place, file),
        _keywords(stack, place, file),
        embedder,
        former=(offline,),
        characters=place.ai.chunk_size,
        together=file.transaction if shared else nullcontext,
    )


def _vectors(stack: AsyncExitStack, place: Place, file: SqliteFile) -> VectorStore:
    if place.mailroom.vectors is None:
        return SqliteVectors(file)
    opened = open_vectors(place.mailroom.vectors)
    stack.callback(opened.close)
    return opened


def _keywords(stack: AsyncExitStack, place: Place, file: SqliteFile) -> KeywordIndex:
    if place.mailroom.keywords is None:
        return SqliteKeywords(file)
    from tidemill_apps.services.keywords.postgres import PostgresKeywords  # noqa: PLC0415  an extra

    opened = PostgresKeywords(place.mailroom.keywords)
    stack.callback(opened.close)
    return opened
