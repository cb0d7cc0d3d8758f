"""Mails as they are analysed, and what was found out about them: reads and writes of rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import Permanent
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.analysing import (
    ANALYZER_VERSION,
    Analysis,
    Findings,
    Part,
    Spam,
    Warned,
    without,
)
from tidemill_apps.mailroom.labels import Label
from tidemill_apps.services.database import utc_now
from tidemill_apps.services.text.values import Origin


class StoredMail(msgspec.Struct, frozen=True):
    """A mail of a user as it is stored; its bytes are the file `digest`.

    `passages` are found by search; None while they are not.
    """

    id: str
    user_id: str
    digest: str
    subject: str
    sender: str
    recipients: tuple[str, ...]
    sent_at: datetime
    text: str
    label: Label | None
    passages: int | None


class Known(msgspec.Struct, frozen=True):
    """An analysis that still holds: of the same mail and label, by this version of the analyser."""

    findings: Findings
    warnings: tuple[Warned, ...]


async def stored_mail(session: AsyncSession, user_id: str, mail_id: str) -> StoredMail:
    """A mail of a user; `Permanent` with the code `forbidden` when it is not theirs.

    Whether somebody else has it is not told.
    """
    mails = tables.mails.c
    columns = [mails[name] for name in StoredMail.__struct_fields__]
    found = await session.execute(
        select(*columns).where(mails.id == mail_id, mails.user_id == user_id)
    )
    row = found.first()
    if row is None:
        raise Permanent(f"user {user_id} has no mail {mail_id}", code="forbidden")
    return msgspec.convert(row, StoredMail, from_attributes=True)


async def known_analysis(session: AsyncSession, mail: StoredMail) -> Known | None:
    """What is known of a mail that still holds, and was not made while the provider was down."""
    analyses = tables.analyses.c
    wanted = select(tables.analyses).where(
        analyses.mail_id == mail.id,
        analyses.digest == mail.digest,
        analyses.version == ANALYZER_VERSION,
        analyses.label.is_not_distinct_from(mail.label),
        analyses.degraded.is_(False),
    )
    row = (await session.execute(wanted)).first()
    if row is None:
        return None
    findings = Findings(
        msgspec.convert(row, Analysis, from_attributes=True),
        msgspec.convert(
            {
                "is_spam": row.is_spam,
                "probability": row.spam_probability,
                "reasons": row.spam_reasons,
            },
            Spam,
        ),
        msgspec.convert(row.origin, Origin),
    )
    return Known(findings, _warnings(row.warnings))


async def save(session: AsyncSession, mail: StoredMail, findings: Findings) -> None:
    """Keep what was found out about a mail, in place of what was known before."""
    row: dict[str, Any] = {
        **msgspec.to_builtins(findings.analysis),
        "mail_id": mail.id,
        "user_id": mail.user_id,
        "digest": mail.digest,
        "version": ANALYZER_VERSION,
        "label": mail.label,
        "is_spam": findings.spam.is_spam,
        "spam_probability": findings.spam.probability,
        "spam_reasons": msgspec.to_builtins(findings.spam.reasons),
        "origin": msgspec.to_builtins(findings.origin),
        "degraded": findings.origin.degraded,
        "warnings": [],
        "analyzed_at": utc_now(),
    }
    analyses = tables.analyses
    changed = update(analyses).where(analyses.c.mail_id == mail.id).returning(analyses.c.mail_id)
    if (await session.execute(changed.values(**row))).first() is None:
        await session.execute(insert(analyses).values(**row))


async def warn(session: AsyncSession, mail_id: str, warnings: Sequence[Warned]) -> None:
    """Keep what could not be done with a mail, in place of what was said of the same parts."""
    kept = await _warned(session, mail_id)
    for each in warnings:
        kept = without(kept, each.part)
    await _keep(session, mail_id, (*kept, *warnings))


async def done_after_all(session: AsyncSession, mail_ids: Sequence[str], part: Part) -> None:
    """Take back the warnings that a part could not be done."""
    for mail_id in mail_ids:
        before = await _warned(session, mail_id)
        left = without(before, part)
        if left != before:
            await _keep(session, mail_id, left)


async def found_by_search(session: AsyncSession, mail_id: str, passages: int, model: str) -> None:
    """Keep that search finds a mail by so many passages, embedded by this model."""
    same = tables.mails.c.id == mail_id
    changed = {"passages": passages, "passages_of": model}
    await session.execute(update(tables.mails).where(same).values(**changed))


async def forgotten_by_search(session: AsyncSession, mail_id: str) -> None:
    """Keep that search does not find a mail."""
    same = tables.mails.c.id == mail_id
    await session.execute(update(tables.mails).where(same).values(passages=None, passages_of=None))


async def degraded_mails(session: AsyncSession, most: int) -> list[tuple[str, str]]:
    """Users and mails that were analysed while the provider was down, the oldest analyses first."""
    analyses = tables.analyses.c
    wanted = (
        select(analyses.user_id, analyses.mail_id)
        .where(analyses.degraded.is_(True))
        .order_by(analyses.analyzed_at, analyses.mail_id)
        .limit(most)
    )
    return [(str(user_id), str(mail_id)) for user_id, mail_id in await session.execute(wanted)]


async def _warned(session: AsyncSession, mail_id: str) -> tuple[Warned, ...]:
    analyses = tables.analyses.c
    found = await session.execute(select(analyses.warnings).where(analyses.mail_id == mail_id))
    return _warnings(found.scalar_one_or_none() or [])


async def _keep(session: AsyncSession, mail_id: str, warnings: Sequence[Warned]) -> None:
    same = tables.analyses.c.mail_id == mail_id
    told = msgspec.to_builtins(warnings)
    await session.execute(update(tables.analyses).where(same).values(warnings=told))


def _warnings(kept: object) -> tuple[Warned, ...]:
    return msgspec.convert(kept, tuple[Warned, ...])
