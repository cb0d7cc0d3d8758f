"""A user's mails: pages of them, some by their ids, one with all that is known of it."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, and_, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import ConfigError, NotFound
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.reading.rows import read
from tidemill_apps.mailroom.reading.values import (
    Analysed,
    MailLine,
    MailPage,
    MailQuery,
    MailView,
    Matched,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR: Final = re.compile(r"(\d{1,17})_([0-9a-f-]{36})")
_PART_OF_ID: Final = re.compile(r"[0-9a-f-]{4,36}")
_mails, _analyses = tables.mails.c, tables.analyses.c
_LINE: Final = (
    _mails.id, _mails.sent_at, _mails.sender, _mails.sender_name, _mails.subject, _mails.folder,
    _mails.label, _analyses.category, _analyses.sentiment, _analyses.urgency, _analyses.is_spam,
    _analyses.summary,
)  # fmt: skip


async def user_called(session: AsyncSession, name: str) -> str | None:
    """The id of the user of this name; None if there is none."""
    wanted = select(tables.users.c.id).where(tables.users.c.name == name)
    return (await session.execute(wanted)).scalar_one_or_none()


async def mails_of(session: AsyncSession, user_id: str, query: MailQuery) -> MailPage:
    """A page of a user's mails; `ConfigError` for a cursor that no page has told."""
    wanted = _restricted(_lines(user_id), query)
    if query.cursor is not None:
        wanted = wanted.where(tuple_(_mails.sent_at, _mails.id) < tuple_(*_place(query.cursor)))
    newest = wanted.order_by(_mails.sent_at.desc(), _mails.id.desc()).limit(query.limit + 1)
    rows = (await session.execute(newest)).mappings().all()
    lines = tuple(read(row, MailLine) for row in rows[: query.limit])
    more = len(rows) > query.limit
    return MailPage(lines, _cursor(lines[-1]) if more else None)


async def mails_by_id(
    session: AsyncSession, user_id: str, ids: Sequence[str]
) -> dict[str, MailLine]:
    """Those of these mails that are the user's, by their ids."""
    rows = (await session.execute(_lines(user_id).where(_mails.id.in_(ids)))).mappings()
    return {line.id: line for line in (read(row, MailLine) for row in rows)}


async def mails_like(session: AsyncSession, user_id: str, part: str) -> list[str]:
    """The ids of a user's mails that begin so, three at most; none for less than 4 characters."""
    if not _PART_OF_ID.fullmatch(part):
        return []
    # "g" is behind every digit: a range of the key, where LIKE would read the whole table
    begins = and_(_mails.id >= part, _mails.id < f"{part}g")
    wanted = select(_mails.id).where(_mails.user_id == user_id, begins).order_by(_mails.id)
    return list((await session.execute(wanted.limit(3))).scalars())


async def mail_of(session: AsyncSession, user_id: str, mail_id: str) -> MailView:
    """A mail with all that is known of it; `NotFound` if it is not the user's."""
    wanted = select(tables.mails).where(_mails.id == mail_id, _mails.user_id == user_id)
    mail = (await session.execute(wanted)).mappings().first()
    if mail is None:
        raise NotFound(f"there is no mail {mail_id}")
    known = select(tables.analyses).where(_analyses.mail_id == mail_id)
    analysis = (await session.execute(known)).mappings().first()
    contexts, links = tables.contexts.c, tables.context_links.c
    linked = (
        select(contexts.id, contexts.name, links.matched)
        .join(tables.contexts, contexts.id == links.context_id)
        .where(links.mail_id == mail_id)
        .order_by(contexts.name)
    )
    belongs = tuple(read(row, Matched) for row in (await session.execute(linked)).mappings())
    analysed = None if analysis is None else read(analysis, Analysed)
    return read(mail, MailView, analysis=analysed, contexts=belongs)


def _lines(user_id: str) -> Select[Any]:
    joined = tables.mails.outerjoin(tables.analyses, _analyses.mail_id == _mails.id)
    return select(*_LINE).select_from(joined).where(_mails.user_id == user_id)


def _restricted(wanted: Select[Any], query: MailQuery) -> Select[Any]:
    if query.category is not None:
        wanted = wanted.where(_analyses.category == query.category)
    if query.contact is not None:
        wanted = wanted.where(_mails.sender == query.contact.strip().lower())
    if query.context_id is not None:
        links = tables.context_links.c
        belonging = select(links.mail_id).where(links.context_id == query.context_id)
        wanted = wanted.where(_mails.id.in_(belonging))
    if query.spam is True:
        wanted = wanted.where(_analyses.is_spam.is_(True))
    if query.spam is False:
        wanted = wanted.where(or_(_analyses.is_spam.is_(False), _analyses.is_spam.is_(None)))
    if query.since is not None:
        wanted = wanted.where(_mails.sent_at >= query.since)
    if query.until is not None:
        wanted = wanted.where(_mails.sent_at < query.until)
    return wanted


def _cursor(line: MailLine) -> str:
    return f"{(line.sent_at - _EPOCH) // timedelta(microseconds=1)}_{line.id}"


def _place(cursor: str) -> tuple[Any, str]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ConfigError(f"the cursor {cursor!r} is not one that a page of mails has told")
    at = _EPOCH + timedelta(microseconds=int(found[1]))
    return literal(at, tables.mails.c.sent_at.type), found[2]
