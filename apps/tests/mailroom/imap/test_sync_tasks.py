"""The tasks that sync mailboxes, on a worker and a real mail server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from apps.tests.mailroom.imap.letters import letters
from apps.tests.mailroom.imap.system import account, add, kept, open_room, running
from apps.tests.mailroom.imap_servers import PASSWORD, USER, ImapServer, Postman, Relay
from tidemill import (
    Handle,
    State,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskQuery,
    Tidemill,
)
from tidemill_apps.mailroom.accounts import set_state
from tidemill_apps.mailroom.imap import MailServer
from tidemill_apps.mailroom.tasks.sync import email_sync, email_sync_all

ROOT = Path(__file__).parents[4]


async def tasks_of(app: Tidemill, task_type: str) -> list[Task]:
    engine = await app.engine()
    query = TaskQuery(task_types=frozenset({task_type}), limit=500, details=True)
    return list((await engine.find(query)).tasks)


async def ended(handle: Handle[Any]) -> Task:
    """The record of a task once it is final, however it ends."""
    with suppress(TaskFailedError, TaskCancelledError):
        await handle.result(30)
    return await handle.get()


async def test_a_sync_stores_the_mails_of_an_account_and_says_how_far_it_is(
    mailroom_app: Tidemill, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(60))
    async with open_room() as room, running(mailroom_app):
        mailbox = await add(room, mail_server.account())
        handle = await email_sync.enqueue(mailbox.user_id, mailbox.id, folder)
        synced = await handle.result(30)
        progress = (await handle.get()).progress
        assert await kept(room) == (60, 60)
        await room.outbox.relay()
        assert len(await tasks_of(mailroom_app, "email:analyze")) == 60
        assert (await account(room, mailbox.id)).synced_at is not None
    assert (synced.fetched, synced.new) == (60, 60)
    assert progress is not None
    assert (progress.percent, progress.step) == (100, "done")


async def test_a_wrong_password_is_told_to_the_account_after_one_attempt(
    mailroom_app: Tidemill, mail_server: ImapServer
) -> None:
    async with open_room() as room, running(mailroom_app):
        mailbox = await add(room, mail_server.account(password="of-yesterday"))
        handle = await email_sync.enqueue(mailbox.user_id, mailbox.id)
        failed = await ended(handle)
        known = await account(room, mailbox.id)
        later = await ended(await email_sync.enqueue(mailbox.user_id, mailbox.id))
        everybody = await (await email_sync_all.enqueue()).result(30)
        mended = await add(room, mail_server.account())
        again = await (await email_sync.enqueue(mailbox.user_id, mailbox.id)).result(30)
    assert failed.error is not None
    assert (failed.state, failed.attempt) == (State.FAILED, 1)
    assert failed.error.message.startswith("auth_failed: ")
    assert known.state == "auth_failed"
    assert known.reason is not None
    assert "of-yesterday" not in f"{known.reason} {failed.error}"
    assert later.state is State.CANCELLED
    assert everybody == 0
    assert (mended.id, mended.state) == (mailbox.id, "active")
    assert again.new == 0


async def test_all_accounts_of_a_user_are_synced_and_one_that_fails_stops_no_other(
    mailroom_app: Tidemill, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(3))
    async with open_room() as room, running(mailroom_app):
        wrong = MailServer("localhost", mail_server.port, "none", USER, "of-yesterday")
        bad = await add(room, wrong)
        good = await add(room, mail_server.account())
        synced = await (await email_sync.enqueue(good.user_id, folder=folder)).result(30)
        assert (await account(room, bad.id)).state == "auth_failed"
    assert (synced.fetched, synced.new, synced.unsynced) == (3, 3, (bad.id,))
    assert synced.last_uid is None


async def test_nobody_syncs_the_account_of_another_user(
    mailroom_app: Tidemill, mail_server: ImapServer
) -> None:
    async with open_room() as room, running(mailroom_app):
        mailbox = await add(room, mail_server.account())
        task = await ended(await email_sync.enqueue("somebody else", mailbox.id))
    assert task.error is not None
    assert (task.state, task.attempt) == (State.FAILED, 1)
    assert task.error.message.startswith("forbidden: ")


async def test_a_paused_account_is_left_alone(
    mailroom_app: Tidemill, mail_server: ImapServer
) -> None:
    async with open_room() as room, running(mailroom_app):
        mailbox = await add(room, mail_server.account())
        async with room.database.writing() as session:
            await set_state(session, mailbox.id, "paused", "by its user")
        task = await ended(await email_sync.enqueue(mailbox.user_id, mailbox.id))
        everybody = await (await email_sync_all.enqueue()).result(30)
    assert (task.state, task.reason) == (State.CANCELLED, "the account is paused: by its user")
    assert everybody == 0


async def test_a_server_that_is_gone_in_the_middle_is_tried_again(
    mailroom_app: Tidemill, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(100))
    async with (
        Relay(mail_server.port, after=40_000).running() as relay,
        open_room() as room,
        running(mailroom_app),
    ):
        mailbox = await add(room, mail_server.account(port=relay.port))
        handle = await email_sync.enqueue(mailbox.user_id, mailbox.id, folder)
        synced = await handle.result(30)
        task = await handle.get()
        assert await kept(room) == (100, 100)
    assert relay.struck.is_set()
    assert (task.attempt, synced.duplicate) == (2, 0)
    assert 0 < synced.new < 100


async def test_accounts_are_synced_by_schedule_and_one_that_is_being_synced_not_twice(
    mailroom_app: Tidemill, mail_server: ImapServer
) -> None:
    timing = mailroom_app.declared_schedules["email:sync_all"].timing
    assert "*/5 * * * *" in repr(timing)
    async with (
        Relay(mail_server.port, after=0, hold=True).running() as relay,
        open_room() as room,
        running(mailroom_app),
    ):
        slow = await add(room, mail_server.account(port=relay.port))
        quick = await add(room, mail_server.account(), user="bob")
        first = await (await email_sync_all.enqueue()).result(30)
        await relay.struck.wait()
        assert (await email_sync.enqueue(slow.user_id, slow.id)).duplicate
        for each in await tasks_of(mailroom_app, email_sync.name):
            if each.payload is not None and quick.id.encode() in each.payload:
                await ended(mailroom_app.handle(each.id))
        second = await (await email_sync_all.enqueue()).result(30)
        relay.released.set()
        for each in await tasks_of(mailroom_app, email_sync.name):
            await ended(mailroom_app.handle(each.id))
        found = await tasks_of(mailroom_app, email_sync.name)
    assert (first, second) == (2, 1)
    assert [each.state for each in found] == [State.COMPLETED] * 2


@contextmanager
def worker_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "apps.tests.mailroom.imap.worker_process"],
        cwd=ROOT,
        env=dict(os.environ),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(90)
async def test_a_killed_worker_loses_no_mail_and_stores_none_twice(
    mailroom_app: Tidemill, mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(400))
    async with (
        Relay(mail_server.port, after=120_000, hold=True).running() as relay,
        open_room() as room,
    ):
        mailbox = await add(room, mail_server.account(port=relay.port))
        handle = await email_sync.enqueue(mailbox.user_id, mailbox.id, folder)
        with worker_process() as first:
            await relay.struck.wait()
            first.kill()
            first.wait()
        before, _ = await kept(room)
        # Not in this process: the next attempt runs in a child, with the environment of the first
        # child that this process ever had.
        with worker_process():
            synced = await handle.result(60)
            task = await handle.get()
        assert await kept(room) == (400, 400)
    await mailroom_app.close()
    assert PASSWORD not in str(task)
    assert 0 < before < 400
    assert task.attempt == 2
    assert synced.new == 400 - before
