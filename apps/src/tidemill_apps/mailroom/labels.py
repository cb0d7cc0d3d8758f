"""What users call their mail, spam or ham: what the spam filter learns from."""

from typing import Final, Literal, TypeAlias

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import NotFound
from tidemill_apps.mailroom import tables

Label: TypeAlias = Literal["spam", "ham"]

MOST: Final = 20_000
"""Labelled mails to learn from: 6,046 take 22 s and 140 MB, so that these take 75 s and 0.5 GB."""


class Labelling(msgspec.Struct, frozen=True):
    """A mail that a user has called something; its bytes are the file `digest`."""

    digest: str
    label: Label


async def label(session: AsyncSession, user_id: str, mail_id: str, called: Label | None) -> None:
    """Keep what a user calls a mail, None for nothing any more; `NotFound` if it is not theirs."""
    mails = tables.mails.c
    same = (mails.id == mail_id) & (mails.user_id == user_id)
    changed = update(tables.mails).where(same).values(label=called).returning(mails.id)
    if (await session.execute(changed)).first() is None:
        raise NotFound(f"user {user_id} has no mail {mail_id}")


async def labellings(
    session: AsyncSession, user_id: str | None, most: int = MOST
) -> list[Labelling]:
    """The mails that a user has called something, or that all users have; the newest `most`."""
    mails = tables.mails.c
    wanted = select(mails.digest, mails.label).where(mails.label.is_not(None))
    if user_id is not None:
        wanted = wanted.where(mails.user_id == user_id)
    newest = wanted.order_by(mails.sent_at.desc(), mails.id).limit(most)
    rows = (await session.execute(newest)).all()
    return [msgspec.convert(row, Labelling, from_attributes=True) for row in rows]


async def labellers(session: AsyncSession, at_least: int) -> list[str]:
    """The users that have called at least so many mails something."""
    mails = tables.mails.c
    wanted = (
        select(mails.user_id)
        .where(mails.label.is_not(None))
        .group_by(mails.user_id)
        .having(func.count() >= at_least)
        .order_by(mails.user_id)
    )
    return [str(user_id) for user_id in (await session.execute(wanted)).scalars()]
