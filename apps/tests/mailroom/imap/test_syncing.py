"""What is on a mail server gets into the store once, whatever breaks in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apps.tests.mailroom.imap.letters import letters
from apps.tests.mailroom.imap.system import add, kept, open_room
from apps.tests.mailroom.imap_servers import ImapServer, Postman, Relay
from tidemill_apps.mailroom.imap import FolderState, MailServer
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.store import MailStore
from tidemill_apps.mailroom.syncing import Mailbox, Synced, SyncStep, folder_state, sync_folder
from tidemill_apps.services.errors import Unavailable


class Syncing:
    """Syncs one folder of one account, and remembers the steps of the last time."""

    def __init__(self, room: Mailroom, mailbox: Mailbox) -> None:
        self.room = room
        self.mailbox = mailbox
        self.steps: list[SyncStep] = []

    async def __call__(self, *, full: bool = False) -> Synced:
        self.steps.clear()
        room = self.room
        store = MailStore(room.database, room.outbox, room.files, ())
        return await sync_folder(
            room.database, store, self.mailbox, self._told, full=full, allow_private=True
        )

    async def _told(self, step: SyncStep) -> None:
        self.steps.append(step)

    async def state(self) -> FolderState | None:
        async with self.room.database.reading() as session:
            return await folder_state(session, self.mailbox)


@asynccontextmanager
async def syncing(server: MailServer, folder: str) -> AsyncIterator[Syncing]:
    async with open_room() as room:
        account = await add(room, server)
        yield Syncing(room, Mailbox(server, account.user_id, account.id, folder))


async def test_400_mails_are_stored_once_and_one_that_comes_later_too(
    home: Path, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    mails = letters(401)
    postman.fill(folder, mails[:400])
    async with syncing(mail_server.account(), folder) as sync:
        first = await sync()
        fetching = [each for each in sync.steps if each.name == "fetch"]
        second = await sync()
        postman.fill(folder, mails[400:])
        third = await sync()
        assert await kept(sync.room) == (401, 401)
        assert await sync.state() == FolderState(third.uidvalidity or 0, third.last_uid or 0)
    assert (first.fetched, first.new, first.duplicate) == (400, 400, 0)
    assert 0 < first.malformed < 100
    assert [each.done for each in fetching] == list(range(0, 401, 50))
    assert {each.total for each in fetching} == {400}
    assert (second.fetched, second.new, second.last_uid) == (0, 0, first.last_uid)
    assert (third.fetched, third.new) == (1, 1)
    assert third.uidvalidity == first.uidvalidity


async def test_a_folder_that_counts_anew_gives_no_mail_twice(
    home: Path, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    mails = letters(62)
    postman.fill(folder, mails[:60])
    async with syncing(mail_server.account(), folder) as sync:
        first = await sync()
        postman.delete(folder)
        postman.fill(folder, mails)
        second = await sync()
        assert await kept(sync.room) == (62, 62)
        assert await sync.state() == FolderState(second.uidvalidity or 0, second.last_uid or 0)
    assert first.uidvalidity != second.uidvalidity
    assert (second.fetched, second.new, second.duplicate) == (62, 2, 60)


async def test_a_full_sync_fetches_all_again_and_stores_nothing_twice(
    home: Path, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(60))
    async with syncing(mail_server.account(), folder) as sync:
        first = await sync()
        again = await sync(full=True)
        assert await kept(sync.room) == (60, 60)
    assert (again.fetched, again.new, again.duplicate) == (60, 0, 60)
    assert again.last_uid == first.last_uid


async def test_a_server_that_is_gone_in_the_middle_costs_no_mail(
    home: Path, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(100))
    async with (
        Relay(mail_server.port, after=40_000).running() as relay,
        syncing(mail_server.account(port=relay.port), folder) as sync,
    ):
        with pytest.raises(Unavailable):
            await sync()
        stored, _ = await kept(sync.room)
        rest = await sync()
        assert await kept(sync.room) == (100, 100)
    assert 0 < stored < 100
    assert (rest.fetched, rest.new, rest.duplicate) == (100 - stored, 100 - stored, 0)


async def test_a_cancelled_sync_hangs_up_and_keeps_what_is_stored(
    home: Path, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(100))
    async with (
        Relay(mail_server.port, after=40_000, hold=True).running() as relay,
        syncing(mail_server.account(port=relay.port), folder) as sync,
    ):
        running = asyncio.ensure_future(sync())
        await relay.struck.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await relay.ended.wait()
        stored, _ = await kept(sync.room)
        assert 0 < stored < 100
        assert sync.steps[-1] == SyncStep("fetch", stored, 100)
        assert (await sync()).new == 100 - stored


async def test_a_sync_that_is_cancelled_while_it_connects_hangs_up_too(
    home: Path, mail_server: ImapServer
) -> None:
    async with (
        Relay(mail_server.port, after=0, hold=True).running() as relay,
        syncing(mail_server.account(port=relay.port), "INBOX") as sync,
    ):
        running = asyncio.ensure_future(sync())
        await relay.struck.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        relay.released.set()
        await relay.ended.wait()
