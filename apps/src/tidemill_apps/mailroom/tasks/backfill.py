"""`context:backfill` finds the mails of before that belong to a context."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import Cancel, Context, Permanent
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.app import MAINTENANCE, app, mailroom
from tidemill_apps.mailroom.contexts import Matched, SmartContext, contexts_of, link, match
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.retrying import SYNCING

STEPS: Final = {"match": 100}
BATCH: Final = 200
"""Mails of one transaction."""


class Backfilled(msgspec.Struct, frozen=True):
    """Of so many `mails`, `matched` belong to a context; `new` links were not there before."""

    mails: int
    matched: int
    new: int


class _Mail(msgspec.Struct, frozen=True):
    id: str
    subject: str
    text: str
    sender: str
    recipients: tuple[str, ...]


@app.task(
    name="context:backfill",
    queue=MAINTENANCE,
    priority=1,
    timeout=timedelta(minutes=30),
    retry=SYNCING,
    unique="{user_id}:{context_id}",
    steps=STEPS,
)
async def context_backfill(
    ctx: Context, user_id: str, context_id: str | None = None
) -> Backfilled | Cancel:
    """Link each mail of a user to the contexts that it belongs to, or to one of them only.

    Each batch is a transaction of its own; cancelled in between, what is linked stays linked. A
    context that is deleted meanwhile gets no more links.
    """
    room = ctx.use(mailroom)
    async with room.database.reading() as session:
        if context_id is not None and not await contexts_of(session, user_id, context_id):
            raise Permanent(f"user {user_id} has no context {context_id}", code="forbidden")
        total = await _count(session, user_id)
    done = Backfilled(0, 0, 0)
    await ctx.step("match", 0, total)
    cursor = ""
    while True:
        async with room.database.reading() as session:
            contexts = await contexts_of(session, user_id, context_id)
            mails = await _after(session, user_id, cursor)
        if context_id is not None and not contexts:
            return Cancel(f"context {context_id} was deleted meanwhile")
        if not mails:
            return done
        found = await asyncio.to_thread(_matched, contexts, mails)
        new = await _link(room, user_id, found)
        done = Backfilled(done.mails + len(mails), done.matched + len(found), done.new + new)
        cursor = mails[-1].id
        await ctx.step("match", done.mails, max(total, done.mails))


def _matched(
    contexts: Sequence[SmartContext], mails: Sequence[_Mail]
) -> dict[str, tuple[Matched, ...]]:
    """The contexts of each mail that belongs to any."""
    found = {
        mail.id: match(contexts, mail.subject, mail.text, {mail.sender, *mail.recipients})
        for mail in mails
    }
    return {mail_id: matched for mail_id, matched in found.items() if matched}


async def _link(room: Mailroom, user_id: str, found: dict[str, tuple[Matched, ...]]) -> int:
    new = 0
    async with room.database.writing() as session:
        there = {each.id for each in await contexts_of(session, user_id)}
        for mail_id, matched in found.items():
            kept = [each for each in matched if each.context_id in there]
            new += await link(session, mail_id, kept)
    return new


async def _count(session: AsyncSession, user_id: str) -> int:
    mails = tables.mails
    counted = select(func.count()).select_from(mails).where(mails.c.user_id == user_id)
    return int((await session.execute(counted)).scalar_one())


async def _after(session: AsyncSession, user_id: str, cursor: str) -> list[_Mail]:
    """The next mails of a user by id."""
    mails = tables.mails.c
    wanted = (
        select(*(mails[name] for name in _Mail.__struct_fields__))
        .where(mails.user_id == user_id, mails.id > cursor)
        .order_by(mails.id)
        .limit(BATCH)
    )
    rows = (await session.execute(wanted)).all()
    return [msgspec.convert(row, _Mail, from_attributes=True) for row in rows]
