"""The spam filter of each user: the settings of the operator, and the table learnt last."""

import asyncio
from typing import Final

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.labels import Label
from tidemill_apps.mailroom.message import Mail
from tidemill_apps.mailroom.spam.bayes import Table, english_table
from tidemill_apps.mailroom.spam.filter import FilterSettings, SpamFilter, Verdict
from tidemill_apps.mailroom.spam.rules import Reason, Standing

MOST_FILTERS: Final = 16
"""Filters that a process holds: a table of 6,046 mails takes some 10 MB."""

_SURE: Final = 24.0


class SpamFilters:
    """The filters of a process by the table that they use; one for each event loop."""

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self._filters: dict[str | None, SpamFilter] = {}
        self._loading = asyncio.Lock()

    async def of(self, session: AsyncSession, user_id: str) -> SpamFilter:
        """The filter with the user's newest table, else that of all users, else the package's.

        Which table that is, is asked each time; a table is read once.
        """
        rows = tables.spam_tables.c
        newest = (
            select(rows.id)
            .where(or_(rows.user_id == user_id, rows.user_id.is_(None)))
            .order_by(rows.user_id.is_(None), rows.trained_at.desc())
            .limit(1)
        )
        table_id = (await session.execute(newest)).scalar_one_or_none()
        async with self._loading:
            if table_id not in self._filters:
                table = await self._table(session, table_id)
                if len(self._filters) >= MOST_FILTERS:
                    del self._filters[next(iter(self._filters))]
                self._filters[table_id] = SpamFilter(self._settings, table)
            return self._filters[table_id]

    async def _table(self, session: AsyncSession, table_id: str | None) -> Table:
        if table_id is None:
            return await asyncio.to_thread(english_table)
        rows = tables.spam_tables.c
        counts = await session.execute(select(rows.counts).where(rows.id == table_id))
        return await asyncio.to_thread(msgspec.json.decode, counts.scalar_one(), type=Table)


async def standing_of(session: AsyncSession, user_id: str, sender: str, but: str) -> Standing:
    """What the user called the sender's mails, without the mail `but`."""
    if not sender:
        return Standing()
    mails = tables.mails.c
    counted = (
        select(mails.label, func.count())
        .where(
            mails.user_id == user_id,
            mails.sender == sender,
            mails.label.is_not(None),
            mails.id != but,
        )
        .group_by(mails.label)
    )
    counts = {str(label): int(count) for label, count in (await session.execute(counted)).all()}
    return Standing(spam=counts.get("spam", 0), ham=counts.get("ham", 0))


def judge(by: SpamFilter, mail: Mail, standing: Standing, label: Label | None) -> Verdict:
    """The filter's verdict, unless the reader has said what it is: they know best."""
    verdict = by.judge(mail, standing)
    if label is None:
        return verdict
    is_spam = label == "spam"
    said = Reason("label", _SURE if is_spam else -_SURE, f"its reader called it {label}")
    return Verdict(is_spam, said.points, 1.0 if is_spam else 0.0, (said, *verdict.reasons))
