"""One sync of one folder: what is new on the mail server gets into the store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.imap import (
    Fetched,
    FolderState,
    MailFolder,
    MailServer,
    advanced,
    first_unseen,
    open_folder,
    plan,
)
from tidemill_apps.mailroom.store import MailStore, Origin, Raw, Stored
from tidemill_apps.services.database import Database, insert_if_absent, utc_now


class SyncStep(msgspec.Struct, frozen=True):
    """How far a sync is: `done` of the `total` mails that it fetches, once it knows them."""

    name: Literal["connect", "select", "fetch"]
    done: int = 0
    total: int = 1


class Synced(msgspec.Struct, frozen=True):
    """What a sync did: of the mails it `fetched`, how many the user did not have before.

    `malformed` counts those of the `new` ones that are not as their standards want them. All mails
    of the folder up to `last_uid` of `uidvalidity` are stored; both are None where the numbers are
    those of several accounts, of which `unsynced` names the ones whose sync did not complete.
    """

    fetched: int
    new: int
    duplicate: int
    malformed: int
    last_uid: int | None = None
    uidvalidity: int | None = None
    unsynced: tuple[str, ...] = ()


Told: TypeAlias = Callable[[SyncStep], Awaitable[None]]


class Mailbox(msgspec.Struct, frozen=True):
    """A folder of an account: where it is, and whose mail is in it."""

    server: MailServer
    user_id: str
    account_id: str
    folder: str


async def sync_folder(
    database: Database,
    store: MailStore,
    mailbox: Mailbox,
    told: Told,
    *,
    full: bool = False,
    allow_private: bool = False,
) -> Synced:
    """Store the mails of a folder that came since the last sync, or all of them again (`full`).

    Each batch is stored, and then the folder's state advances: whatever breaks in between, a mail
    is fetched a second time at worst, and known by its key. `told` gets each step. Cancelled, it
    breaks the connection off and keeps what is stored. Raises what `open_folder` raises.
    """
    await told(SyncStep("connect"))
    async with _opened(mailbox, allow_private=allow_private) as folder:
        await told(SyncStep("select"))
        async with database.reading() as session:
            state = await folder_state(session, mailbox)
        first = first_unseen(state, folder.uidvalidity, full=full)
        listed = await asyncio.to_thread(folder.uids, first)
        planned = plan(state, folder.uidvalidity, listed, full=full)
        total = sum(map(len, planned.batches))
        kept, done = await _advance(database, mailbox, folder.uidvalidity, 0), Stored()
        await told(SyncStep("fetch", 0, total))
        for batch in planned.batches:
            async for mails in _groups(folder, batch):
                done += await store.store(_origin(mailbox), [_raw(each) for each in mails])
                kept = await _advance(database, mailbox, folder.uidvalidity, mails[-1].uid)
                await told(SyncStep("fetch", done.fetched, total))
    return Synced(
        fetched=done.fetched,
        new=done.new,
        duplicate=done.duplicate,
        malformed=done.malformed,
        last_uid=kept.last_uid,
        uidvalidity=kept.uidvalidity,
    )


async def folder_state(session: AsyncSession, mailbox: Mailbox) -> FolderState | None:
    """How far a folder is synced; None before its first sync."""
    columns = tables.folders.c
    wanted = select(columns.uidvalidity, columns.last_uid).where(
        columns.account_id == mailbox.account_id, columns.name == mailbox.folder
    )
    row = (await session.execute(wanted)).first()
    return None if row is None else FolderState(row.uidvalidity, row.last_uid)


async def _advance(database: Database, mailbox: Mailbox, uidvalidity: int, uid: int) -> FolderState:
    """Keep that all mails up to `uid` are stored; another sync may be further already."""
    columns = tables.folders.c
    async with database.writing() as session:
        state = advanced(await folder_state(session, mailbox), uidvalidity, uid)
        row = {
            "account_id": mailbox.account_id,
            "name": mailbox.folder,
            "synced_at": utc_now(),
            **msgspec.structs.asdict(state),
        }
        if not await insert_if_absent(session, tables.folders, row):
            same = (columns.account_id == mailbox.account_id) & (columns.name == mailbox.folder)
            await session.execute(update(tables.folders).where(same).values(**row))
    return state


@asynccontextmanager
async def _opened(mailbox: Mailbox, *, allow_private: bool) -> AsyncIterator[MailFolder]:
    """The open folder; whoever leaves by an error breaks off what still runs on a thread."""
    opening = asyncio.ensure_future(
        asyncio.to_thread(open_folder, mailbox.server, mailbox.folder, allow_private=allow_private)
    )
    try:
        folder = await asyncio.shield(opening)
    except BaseException:
        opening.add_done_callback(_break_off)
        raise
    try:
        yield folder
    except BaseException:
        folder.abort()
        raise
    finally:
        await asyncio.to_thread(folder.close)


def _break_off(opening: asyncio.Future[MailFolder]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()
        opening.result().close()


async def _groups(folder: MailFolder, uids: tuple[int, ...]) -> AsyncIterator[tuple[Fetched, ...]]:
    groups = folder.fetch(uids)
    while (mails := await asyncio.to_thread(next, groups, None)) is not None:
        if mails:
            yield mails


def _origin(mailbox: Mailbox) -> Origin:
    return Origin(mailbox.user_id, mailbox.account_id, mailbox.folder)


def _raw(mail: Fetched) -> Raw:
    cut = f"only the first {len(mail.data):,} bytes were fetched" if mail.cut else None
    return Raw(mail.data, cut)
