"""The mailroom on a database of its own, and a worker that runs in this process."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import func, select

from tidemill import Node, Tidemill, WorkerSettings
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import (
    Account,
    NewAccount,
    accounts_of,
    add_account,
    user_named,
)
from tidemill_apps.mailroom.app import SYNC, app
from tidemill_apps.mailroom.imap import MailServer
from tidemill_apps.mailroom.opening import Mailroom, open_mailroom
from tidemill_apps.mailroom.settings import Place

QUICK = WorkerSettings(
    queues=(SYNC,), lease=timedelta(seconds=1), heartbeat=timedelta(milliseconds=200)
)
"""Syncs only: what mails say is analysed elsewhere."""


@asynccontextmanager
async def open_room() -> AsyncIterator[Mailroom]:
    """The mailroom of the environment, opened beside the one of the worker."""
    async with open_mailroom(app, Place.of(os.environ)) as room:
        yield room


@asynccontextmanager
async def running(app: Tidemill) -> AsyncIterator[None]:
    """A node in this process, drained at the end; no schedule of the mailroom fires meanwhile."""
    node = Node(app, QUICK)
    with patch.object(Tidemill, "declared_schedules", {}):
        async with asyncio.TaskGroup() as system:
            system.create_task(node.run())
            yield
            node.drain("the test is over")
    await app.close()


async def add(room: Mailroom, server: MailServer, user: str = "ann") -> Account:
    """An account of a user, who is made if need be."""
    async with room.database.writing() as session:
        new = NewAccount(
            server.host, server.username, server.password, server.security, server.port
        )
        return await add_account(session, room.keyring, await user_named(session, user), new)


async def account(room: Mailroom, account_id: str) -> Account:
    async with room.database.reading() as session:
        (found,) = await accounts_of(session, account_id=account_id)
    return found


async def kept(room: Mailroom) -> tuple[int, int]:
    """Rows of mail, and how many mails they are."""
    counts = select(func.count(), func.count(tables.mails.c.message_key.distinct()))
    async with room.database.reading() as session:
        rows, mails = (await session.execute(counts.select_from(tables.mails))).one()
    return int(rows), int(mails)


def settle_in(home: Path) -> None:
    """Let mail servers be on this machine."""
    home.mkdir()
    settings = "applications: {mailroom: {sync: {allow_private: true}}}\n"
    (home / "tidemill.yaml").write_text(settings)
