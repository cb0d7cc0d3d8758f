"""What an operator is told of alerts: each crossing once, and each recovery."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import AlertInfo, AlertLevel
from tidemill_apps.mailroom import tables
from tidemill_apps.services.mailer import Language

_FINE: Final = AlertLevel.FINE.name.lower()
_TITLES: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "warning": "Warning: {rule} of {subject}",
        "alarm": "Alarm: {rule} of {subject}",
        "fine": "Over: {rule} of {subject}",
    },
    "zh": {
        "warning": "警告：{subject} 的 {rule}",
        "alarm": "警报：{subject} 的 {rule}",
        "fine": "已恢复：{subject} 的 {rule}",
    },
}


class Notice(msgspec.Struct, frozen=True):
    """An alert that was crossed, or (level `fine`) is over: a row of `notices`."""

    key: str
    rule: str
    subject: str
    level: str
    text: str
    at: datetime


def news(
    last: Mapping[tuple[str, str], Notice], alerts: Iterable[AlertInfo], now: datetime
) -> Iterator[Notice]:
    """What is to be told, by what was told last of each rule and subject.

    A level counts once Tidemill itself has told it: it has held for its window, and nobody
    silenced it. The key of a crossing is made of when it began, that of a recovery of what it
    ends: whoever finds the same news makes the same key.
    """
    told = {(each.rule, each.subject): each for each in alerts if each.told}
    for about, alert in told.items():
        level = alert.told.name.lower()
        if about not in last or last[about].level != level:
            text = f"{alert.value:g} since {alert.since:%Y-%m-%d %H:%M:%S} UTC"
            yield _notice(about, level, alert.since, text, now)
    for about, notice in last.items():
        if about not in told and notice.level != _FINE:
            text = f"{notice.level} of {notice.at:%Y-%m-%d %H:%M:%S} UTC is over"
            yield _notice(about, _FINE, notice.at, text, now)


def title(notice: Notice, lang: Language) -> str:
    """A line that says what happened to what."""
    return _TITLES[lang][notice.level].format(rule=notice.rule, subject=notice.subject or "—")


async def last_told(session: AsyncSession) -> dict[tuple[str, str], Notice]:
    """The newest notice of each rule and subject."""
    rows = tables.notices.c
    order = func.row_number().over(
        partition_by=(rows.rule, rows.subject), order_by=(rows.at.desc(), rows.key)
    )
    ranked = select(tables.notices, order.label("rank")).subquery()
    found = (await session.execute(select(ranked).where(ranked.c.rank == 1))).all()
    notices = [_read(row) for row in found]
    return {(each.rule, each.subject): each for each in notices}


async def notice_of(session: AsyncSession, key: str) -> Notice:
    """The notice of a key that is there."""
    wanted = select(tables.notices).where(tables.notices.c.key == key)
    return _read((await session.execute(wanted)).one())


def _read(row: object) -> Notice:
    return msgspec.convert(row, Notice, from_attributes=True)


def _notice(about: tuple[str, str], level: str, since: datetime, text: str, at: datetime) -> Notice:
    rule, subject = about
    return Notice(f"{rule}/{subject}/{level}/{since.isoformat()}", rule, subject, level, text, at)
