"""A user's contacts and contexts, and everything in numbers."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.reading.rows import read
from tidemill_apps.mailroom.reading.values import (
    ContactLine,
    ContactOrder,
    ContextLine,
    MailStatistics,
)

_contacts = tables.contacts.c
_ORDERS: Final[Mapping[ContactOrder, tuple[ColumnElement[Any], ...]]] = {
    "mails": (_contacts.mails.desc(), _contacts.last_at.desc()),
    "last": (_contacts.last_at.desc(),),
    "sentiment": (_contacts.sentiment.desc().nulls_last(), _contacts.mails.desc()),
}


async def contacts_of(
    session: AsyncSession,
    user_id: str,
    *,
    order: ContactOrder = "mails",
    limit: int = 50,
    offset: int = 0,
) -> list[ContactLine]:
    """Who wrote to a user: the most mails, the latest or the kindest first."""
    names = [getattr(_contacts, name) for name in ContactLine.__struct_fields__]
    wanted = select(*names).where(_contacts.user_id == user_id)
    ordered = wanted.order_by(*_ORDERS[order], _contacts.address).limit(limit).offset(offset)
    return [read(row, ContactLine) for row in (await session.execute(ordered)).mappings()]


async def contexts_of(session: AsyncSession, user_id: str) -> list[ContextLine]:
    """What a user works on, by name."""
    contexts, links = tables.contexts.c, tables.context_links.c
    mails = (
        select(func.count())
        .select_from(tables.context_links)
        .where(links.context_id == contexts.id)
        .scalar_subquery()
    )
    wanted = select(tables.contexts, mails.label("mails")).where(contexts.user_id == user_id)
    rows = (await session.execute(wanted.order_by(contexts.name))).mappings()
    return [read(row, ContextLine) for row in rows]


async def statistics_of(session: AsyncSession, user_id: str) -> MailStatistics:
    """A user's mail in numbers."""
    mails, analyses = tables.mails.c, tables.analyses.c
    unindexed = and_(mails.passages.is_(None), analyses.is_spam.is_not(True))
    of_mails = (
        select(
            func.count().label("mails"),
            func.count().filter(unindexed).label("unindexed"),
            func.count(mails.parse_error).label("malformed"),
        )
        .select_from(tables.mails.outerjoin(tables.analyses, analyses.mail_id == mails.id))
        .where(mails.user_id == user_id)
    )
    counted = (await session.execute(of_mails)).one()
    of_analyses = (
        select(analyses.category, analyses.is_spam, analyses.degraded, func.count().label("n"))
        .where(analyses.user_id == user_id)
        .group_by(analyses.category, analyses.is_spam, analyses.degraded)
    )
    groups = (await session.execute(of_analyses)).all()
    categories = dict.fromkeys(sorted({each.category for each in groups}), 0)
    for each in groups:
        categories[each.category] += each.n
    return MailStatistics(
        mails=counted.mails,
        analyzed=sum(each.n for each in groups),
        categories=categories,
        spam=sum(each.n for each in groups if each.is_spam),
        degraded=sum(each.n for each in groups if each.degraded),
        unindexed=counted.unindexed,
        malformed=counted.malformed,
        contacts=await _count(session, tables.contacts.c.user_id == user_id),
        contexts=await _count(session, tables.contexts.c.user_id == user_id),
    )


async def _count(session: AsyncSession, condition: ColumnElement[bool]) -> int:
    return int((await session.execute(select(func.count()).where(condition))).scalar_one())
