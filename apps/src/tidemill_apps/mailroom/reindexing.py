"""Which mails search is still to find by a model, and what it already finds by it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.analyses import found_by_search
from tidemill_apps.services.database import once

TASK_TYPE = "email:reindex"
_MAILS, _ANALYSES = tables.mails.c, tables.analyses.c


class Scope(msgspec.Struct, frozen=True):
    """Mails that search is to find by `model`: all, those of one user, those sent `since` then.

    Spam is never among them, and mail that is not analysed yet neither: it may be spam.
    """

    model: str
    user_id: str | None = None
    since: datetime | None = None

    @property
    def done(self) -> ColumnElement[bool]:
        """Which of the mails are indexed with the model."""
        return _MAILS.passages_of.is_not_distinct_from(self.model)

    def mails(self, *columns: Any) -> Select[Any]:
        """A query for columns of these mails."""
        ham = select(*columns).join_from(tables.mails, tables.analyses)
        return ham.where(
            _ANALYSES.is_spam.is_(False),
            true() if self.user_id is None else _MAILS.user_id == self.user_id,
            true() if self.since is None else _MAILS.sent_at >= self.since,
        )


class Indexable(msgspec.Struct, frozen=True):
    """What search needs to know of a mail."""

    id: str
    user_id: str
    subject: str
    text: str
    sent_at: datetime


async def begin(session: AsyncSession, scope: Scope, key: str) -> None:
    """Let all mails of a scope count as not indexed, once for each key."""
    if await once(session, TASK_TYPE, key):
        again = scope.mails(_MAILS.id).where(scope.done)
        await _forget(session, _MAILS.id.in_(again))


async def counted(session: AsyncSession, scope: Scope) -> tuple[int, int]:
    """How many mails of a scope are indexed, and how many there are."""
    wanted = scope.mails(func.count().filter(scope.done), func.count())
    done, total = (await session.execute(wanted)).one()
    return int(done), int(total)


async def left(session: AsyncSession, scope: Scope, cursor: str, most: int) -> list[Indexable]:
    """Mails of a scope that are not indexed, by id, after that of the cursor."""
    columns = [_MAILS[name] for name in Indexable.__struct_fields__]
    wanted = scope.mails(*columns).where(~scope.done, _MAILS.id > cursor)
    rows = (await session.execute(wanted.order_by(_MAILS.id).limit(most))).all()
    return [msgspec.convert(row, Indexable, from_attributes=True) for row in rows]


async def found_by_others(session: AsyncSession, model: str) -> int:
    """How many mails, of all users, search finds by another model only."""
    wanted = Scope(model).mails(func.count()).where(_MAILS.passages_of != model)
    return int((await session.execute(wanted)).scalar_one())


async def keep(
    session: AsyncSession, model: str, passages: Mapping[str, int], failed: Sequence[str]
) -> None:
    """Keep by how many passages search finds mails, and that it does not find those that failed."""
    for mail_id, number in passages.items():
        await found_by_search(session, mail_id, number, model)
    await _forget(session, _MAILS.id.in_(failed))


async def _forget(session: AsyncSession, which: ColumnElement[bool]) -> None:
    forgotten = update(tables.mails).where(which).values(passages=None, passages_of=None)
    await session.execute(forgotten)
