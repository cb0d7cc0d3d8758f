"""Who wrote to a user: each mail is one interaction, and all numbers are counted from those.

That makes them right however often a mail is analysed: an interaction is there or it is not.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Table, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom import tables
from tidemill_apps.services.database import utc_now

MOST: Final = 200
"""Mails of one update."""


class Counted(msgspec.Struct, frozen=True):
    """What an update did: the mails that count, and those left out.

    Left out are those without a sender whose address can be read, and those that the user does not
    have (any more).
    """

    contacts: int
    mails: int
    left_out: int


async def count_mails(session: AsyncSession, user_id: str, mail_ids: Sequence[str]) -> Counted:
    """Let these mails of a user count for their senders, with the sentiment found so far.

    At most `MOST` at once. Contacts are made where there are none.
    """
    asked = set(mail_ids)
    rows = await _senders(session, user_id, asked)
    addresses = sorted({row["address"] for row in rows})
    contacts = await _contacts(session, user_id, addresses)
    interactions = [
        {
            "mail_id": row["mail_id"],
            "contact_id": contacts[row["address"]],
            "at": row["at"],
            "sentiment": row["sentiment"],
        }
        for row in rows
    ]
    if interactions:
        await _interact(session, interactions)
        await _recount(session, sorted(contacts.values()))
    return Counted(len(contacts), len(rows), len(asked) - len(rows))


async def _senders(session: AsyncSession, user_id: str, mail_ids: set[str]) -> list[dict[str, Any]]:
    mails, analyses = tables.mails.c, tables.analyses.c
    wanted = (
        select(
            mails.id.label("mail_id"),
            mails.sender.label("address"),
            mails.sent_at.label("at"),
            analyses.sentiment_score.label("sentiment"),
        )
        .select_from(tables.mails.outerjoin(tables.analyses, analyses.mail_id == mails.id))
        .where(mails.id.in_(mail_ids), mails.user_id == user_id, mails.sender != "")
        .order_by(mails.id)
    )
    return [dict(row) for row in (await session.execute(wanted)).mappings()]


async def _contacts(
    session: AsyncSession, user_id: str, addresses: Sequence[str]
) -> dict[str, str]:
    """The ids of contacts by address, locked until the end of the transaction.

    Without the lock two transactions of a PostgreSQL would count each without the other's mails.
    """
    if not addresses:
        return {}
    now = utc_now()
    made = [
        {
            "id": str(uuid.uuid4()),
            "user_id": user_id,
            "address": address,
            "name": "",
            "mails": 0,
            "last_at": now,
        }
        for address in addresses
    ]
    await session.execute(_insert(session, tables.contacts).on_conflict_do_nothing(), made)
    contacts = tables.contacts.c
    locked = (
        select(contacts.address, contacts.id)
        .where(contacts.user_id == user_id, contacts.address.in_(addresses))
        .order_by(contacts.address)
        .with_for_update()
    )
    return {str(address): str(id_) for address, id_ in (await session.execute(locked)).all()}


async def _interact(session: AsyncSession, interactions: Sequence[dict[str, Any]]) -> None:
    put = _insert(session, tables.interactions)
    changed = {name: put.excluded[name] for name in ("contact_id", "at", "sentiment")}
    put = put.on_conflict_do_update(index_elements=["mail_id"], set_=changed)
    await session.execute(put, interactions)


async def _recount(session: AsyncSession, contact_ids: Sequence[str]) -> None:
    contacts, interactions, mails = tables.contacts.c, tables.interactions.c, tables.mails.c
    theirs = interactions.contact_id == contacts.id
    newest_name = (
        select(mails.sender_name)
        .select_from(tables.interactions.join(tables.mails, mails.id == interactions.mail_id))
        .where(theirs, mails.sender_name != "")
        .order_by(interactions.at.desc())
        .limit(1)
    )
    counted = {
        "mails": select(func.count()).where(theirs).scalar_subquery(),
        "last_at": select(func.max(interactions.at)).where(theirs).scalar_subquery(),
        "sentiment": select(func.avg(interactions.sentiment)).where(theirs).scalar_subquery(),
        "name": func.coalesce(newest_name.scalar_subquery(), ""),
    }
    same = contacts.id.in_(contact_ids)
    await session.execute(update(tables.contacts).where(same).values(**counted))


def _insert(session: AsyncSession, table: Table) -> Any:
    """An insert that may have a conflict, in the words of the database."""
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
