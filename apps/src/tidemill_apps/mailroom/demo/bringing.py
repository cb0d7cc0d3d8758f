"""Mail comes in, from a real IMAP server or from files, and everything that it sets off is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias

from tidemill_apps.mailroom.accounts import NewAccount, add_account
from tidemill_apps.mailroom.demo.board import Board
from tidemill_apps.mailroom.demo.display import display_for, states_in
from tidemill_apps.mailroom.demo.mail_server import HOST, PASSWORD
from tidemill_apps.mailroom.demo.mails import LETTERS, OWNER
from tidemill_apps.mailroom.demo.stage import Expected, Stage
from tidemill_apps.mailroom.importing import import_mails
from tidemill_apps.mailroom.listeners import LISTENERS
from tidemill_apps.mailroom.reading import statistics_of
from tidemill_apps.mailroom.store import MailStore
from tidemill_apps.mailroom.tasks import app
from tidemill_apps.mailroom.tasks.sync import email_sync

Bring: TypeAlias = Callable[[], Awaitable[int]]
"""Brings in the mails that are not there yet, and answers how many those were."""

_PATIENCE: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(seconds=90)
"""After this long the analyses have failed to end."""


async def source_of(stage: Stage) -> Bring:
    """A sync of an account on the IMAP server, or an import where there is none."""
    room, user_id = stage.room, stage.user_id
    if stage.port is None:
        return lambda: _import(stage)
    new = NewAccount(HOST, OWNER, PASSWORD, "none", stage.port)
    async with room.database.writing() as session:
        account = await add_account(session, room.keyring, user_id, new)

    async def sync() -> int:
        return (await (await email_sync.enqueue(user_id, account.id)).result()).new

    return sync


async def _import(stage: Stage) -> int:
    room, new = stage.room, 0
    store = MailStore(room.database, room.outbox, room.files, LISTENERS)
    async for progress in import_mails(store, stage.user_id, stage.letters):
        new = progress.stored.new
    return new


async def bring_in(stage: Stage, bring: Bring) -> list[Expected]:
    """Bring the mails in, and show their way until nothing that they set off is left."""
    say, started = stage.say, time.perf_counter()
    board = Board()
    try:
        async with asyncio.timeout(_LONGEST.total_seconds()):
            new = await _watched(stage, bring, board)
    except TimeoutError:
        states = states_in(say, board)
        raise TimeoutError(say.stuck.format(s=_LONGEST.seconds, states=states)) from None
    seconds = time.perf_counter() - started
    async with stage.room.database.reading() as session:
        known = await statistics_of(session, stage.user_id)
    told = say.understood.format(
        new=new,
        analyzed=known.analyzed,
        found=known.mails - known.unindexed - known.spam,
        seconds=seconds,
        rate=known.analyzed / seconds,
    )
    print(told)
    good = sum(not each.is_spam for each in LETTERS)
    return [
        Expected("new", new, len(LETTERS)),
        Expected("analysed", known.analyzed, len(LETTERS)),
        Expected("findable", known.mails - known.unindexed - known.spam, good),
        Expected("degraded", known.degraded, 0),
    ]


async def _watched(stage: Stage, bring: Bring, board: Board) -> int:
    """Show what happens until nothing is left to do; answers how many mails were new."""
    engine = await app.engine()
    cursor = (await engine.feed(None, 1, timedelta())).cursor
    bringing = asyncio.ensure_future(bring())
    try:
        with display_for(stage.say, stage.console) as display:
            while not (bringing.done() and board.through(bringing.result())):
                page = await engine.feed(cursor, 500, _PATIENCE)
                cursor = page.cursor
                board.take(page.entries)
                display.show(board)
    finally:
        bringing.cancel()
    return bringing.result()
