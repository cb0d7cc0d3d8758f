"""The suite with Dovecot in pymap's place, and 400 real mails (make mailroom-imap)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from apps.tests.mailroom.corpus import samples
from apps.tests.mailroom.imap.letters import letters
from apps.tests.mailroom.imap.system import add, kept, open_room, running
from apps.tests.mailroom.imap.test_session import (
    test_a_connection_that_breaks_in_the_middle_is_unavailable,
    test_a_folder_cannot_smuggle_a_command,
    test_a_folder_gives_its_mails_as_they_are_and_leaves_them_unread,
    test_a_giant_mail_is_cut_after_its_first_bytes_and_stops_no_other,
    test_a_mail_that_is_gone_meanwhile_is_left_out,
    test_a_wrong_password_is_permanent_and_told_to_nobody,
    test_an_empty_folder_has_no_mails,
    test_uids_are_asked_for_from_the_first_that_is_wanted,
)
from apps.tests.mailroom.imap.test_sync_tasks import (
    tasks_of,
    test_a_killed_worker_loses_no_mail_and_stores_none_twice,
    test_a_server_that_is_gone_in_the_middle_is_tried_again,
    test_a_wrong_password_is_told_to_the_account_after_one_attempt,
    test_all_accounts_of_a_user_are_synced_and_one_that_fails_stops_no_other,
)
from apps.tests.mailroom.imap.test_syncing import (
    syncing,
    test_400_mails_are_stored_once_and_one_that_comes_later_too,
    test_a_cancelled_sync_hangs_up_and_keeps_what_is_stored,
    test_a_folder_that_counts_anew_gives_no_mail_twice,
    test_a_full_sync_fetches_all_again_and_stores_nothing_twice,
    test_a_server_that_is_gone_in_the_middle_costs_no_mail,
)
from apps.tests.mailroom.imap_servers import ImapServer, Postman, Relay, dovecot
from tidemill import Tidemill
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.tasks.analyze import email_analyze
from tidemill_apps.mailroom.tasks.sync import email_sync

__all__ = [
    "test_400_mails_are_stored_once_and_one_that_comes_later_too",
    "test_a_cancelled_sync_hangs_up_and_keeps_what_is_stored",
    "test_a_connection_that_breaks_in_the_middle_is_unavailable",
    "test_a_folder_cannot_smuggle_a_command",
    "test_a_folder_gives_its_mails_as_they_are_and_leaves_them_unread",
    "test_a_folder_that_counts_anew_gives_no_mail_twice",
    "test_a_full_sync_fetches_all_again_and_stores_nothing_twice",
    "test_a_giant_mail_is_cut_after_its_first_bytes_and_stops_no_other",
    "test_a_killed_worker_loses_no_mail_and_stores_none_twice",
    "test_a_mail_that_is_gone_meanwhile_is_left_out",
    "test_a_server_that_is_gone_in_the_middle_costs_no_mail",
    "test_a_server_that_is_gone_in_the_middle_is_tried_again",
    "test_a_wrong_password_is_permanent_and_told_to_nobody",
    "test_a_wrong_password_is_told_to_the_account_after_one_attempt",
    "test_all_accounts_of_a_user_are_synced_and_one_that_fails_stops_no_other",
    "test_an_empty_folder_has_no_mails",
    "test_uids_are_asked_for_from_the_first_that_is_wanted",
]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def mail_server() -> Iterator[ImapServer]:
    with dovecot() as server:
        yield server


@pytest.fixture(scope="session")
def real_mails() -> list[bytes]:
    """400 mails of the corpus, no two of them the same, from all of its groups."""
    known = dict[str, bytes]()
    for sample in samples()[::14]:
        data = sample.data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        known.setdefault(parse_mail(data).key, data)
    return list(known.values())[:400]


async def test_400_real_mails_are_stored_and_each_is_analysed_once(
    mailroom_app: Tidemill,
    mail_server: ImapServer,
    postman: Postman,
    folder: str,
    real_mails: list[bytes],
) -> None:
    postman.fill(folder, real_mails)
    async with open_room() as room, running(mailroom_app):
        mailbox = await add(room, mail_server.account())
        first = await (await email_sync.enqueue(mailbox.user_id, mailbox.id, folder)).result(60)
        again = await email_sync.enqueue(mailbox.user_id, mailbox.id, folder, full=True)
        second = await again.result(60)
        assert await kept(room) == (400, 400)
        await room.outbox.relay()
        analyses = await tasks_of(mailroom_app, email_analyze.name)
    assert (first.fetched, first.new, first.duplicate) == (400, 400, 0)
    assert (second.fetched, second.new, second.duplicate) == (400, 0, 400)
    assert len(analyses) == 400


async def test_a_sync_that_takes_too_long_goes_on_where_it_was_without_using_up_attempts(
    mailroom_app: Tidemill, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(100))
    async with (
        Relay(mail_server.port, after=40_000, hold=True).running() as relay,
        open_room() as room,
        running(mailroom_app),
    ):
        mailbox = await add(room, mail_server.account(port=relay.port))
        quick = email_sync.options(soft_timeout=5)
        handle = await quick.enqueue(mailbox.user_id, mailbox.id, folder)
        synced = await handle.result(30)
        task = await handle.get()
        assert await kept(room) == (100, 100)
    assert relay.struck.is_set()
    assert (task.attempt, synced.duplicate) == (1, 0)
    assert 0 < synced.new < 100


async def test_what_was_not_fetched_whole_says_so(
    home: Path, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    giant = letters(1)[0] + b"a line of the attachment\r\n" * 500_000
    postman.fill(folder, [giant, letters(2)[1]])
    async with syncing(mail_server.account(), folder) as sync:
        assert (await sync()).new == 2
        async with sync.room.database.reading() as session:
            told = (await session.execute(select(tables.mails.c.parse_error))).scalars().all()
    assert [each for each in told if each] == ["only the first 10,485,760 bytes were fetched"]
