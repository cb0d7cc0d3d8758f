"""`email:analyze` finds out what a mail is, says and wants, and whom and what it is about."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import AtMost, Call, Context, Permanent, Unique
from tidemill_apps.mailroom.analyses import (
    Known,
    StoredMail,
    known_analysis,
    save,
    stored_mail,
    warn,
)
from tidemill_apps.mailroom.analysing import (
    Analysis,
    Findings,
    Part,
    Spam,
    Warned,
    judged,
    of_mail,
    of_spam,
    readable,
    without,
)
from tidemill_apps.mailroom.app import ANALYZE, app, mailroom
from tidemill_apps.mailroom.contacts import count_mails
from tidemill_apps.mailroom.contexts import (
    Matched,
    SmartContext,
    contexts_of,
    link,
    links_of,
    match,
)
from tidemill_apps.mailroom.indexing import forget_mail, index_mail
from tidemill_apps.mailroom.judging import judge, standing_of
from tidemill_apps.mailroom.message import Mail, parse_mail
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.retrying import ANALYSING
from tidemill_apps.mailroom.spam.filter import SpamFilter, Verdict
from tidemill_apps.mailroom.spam.rules import Standing
from tidemill_apps.mailroom.tasks.contact import contact_update
from tidemill_apps.mailroom.tasks.embed import email_embed
from tidemill_apps.services.files import UnknownFile
from tidemill_apps.services.text.values import Origin

STEPS: Final = {
    "load": 5,
    "spam": 10,
    "analysis": 40,
    "save": 10,
    "contact": 7,
    "contexts": 8,
    "index": 20,
}
SOFT_TIMEOUT: Final = 60
TIMEOUT: Final = 90


class AnalyzedMail(msgspec.Struct, frozen=True):
    """What is known of a mail, and what was done with it.

    `passages` is by how many of them search finds it, None while it does not and for spam.
    `warnings` name what could not be done; a task goes on trying where there is one. `degraded`:
    the AI provider was down (`origin.reason` tells), and the analysis is made again once it is up.
    """

    analysis: Analysis
    spam: Spam
    contexts: tuple[Matched, ...]
    passages: int | None
    warnings: tuple[Warned, ...]
    origin: Origin
    degraded: bool


@app.task(
    name="email:analyze",
    queue=ANALYZE,
    priority=5,
    soft_timeout=SOFT_TIMEOUT,
    timeout=TIMEOUT,
    retry=ANALYSING,
    unique=Unique("{user_id}:{email_id}:{force}", until="start"),
    limit=AtMost(1, per="{email_id}"),
    steps=STEPS,
)
async def email_analyze(
    ctx: Context,
    email_id: str,
    user_id: str,
    force: bool = False,  # noqa: FBT001, FBT002  # a field of the payload
) -> AnalyzedMail:
    """Analyse a mail of a user, and keep what was found out.

    Spam is kept as such, counts for its sender and ends there; search does not find it. Other mail
    is summed up by the AI provider; counts for its sender; is linked to the contexts that it
    belongs to; and is found by search from then on. An analysis that is there already, made by
    this version of the analyser, not degraded and for the label that the mail has, is the answer
    unless `force`. While one is made, another may wait: it sees what was said meanwhile.
    """
    room = ctx.use(mailroom)
    loaded = await _load(room, user_id, email_id)
    await ctx.step("load", 1)
    known = loaded.known if not force else None
    if known is None:
        known = await _keep(ctx, room, loaded, await _find_out(ctx, room, loaded))
    warnings, passages = known.warnings, loaded.mail.passages
    if known.findings.spam.is_spam:
        if passages is not None:  # it was taken for good mail before
            await forget_mail(room, loaded.mail)
            passages = None
    elif passages is None or known is not loaded.known:
        passages, failed = await _index(room, loaded.mail, warned=bool(warnings))
        warnings = (*without(warnings, "index"), *failed)
    contexts = await _links(room, email_id) if loaded.contexts else ()
    await ctx.step("index", 1)
    findings = known.findings
    return AnalyzedMail(
        analysis=findings.analysis,
        spam=findings.spam,
        contexts=contexts,
        passages=passages,
        warnings=warnings,
        origin=findings.origin,
        degraded=findings.origin.degraded,
    )


def analysis_of(user_id: str, mail_id: str, *, force: bool = False) -> Call[AnalyzedMail]:
    """The call that has a mail analysed; its task is found by its user."""
    return email_analyze.options(user_id=user_id).call(mail_id, user_id, force)


class _Loaded(msgspec.Struct, frozen=True):
    """A mail, and all that the database knows for its analysis."""

    mail: StoredMail
    known: Known | None
    by: SpamFilter
    standing: Standing
    contexts: tuple[SmartContext, ...]


async def _load(room: Mailroom, user_id: str, mail_id: str) -> _Loaded:
    async with room.database.reading() as session:
        mail = await stored_mail(session, user_id, mail_id)
        return _Loaded(
            mail=mail,
            known=await known_analysis(session, mail),
            by=await room.spam_filters.of(session, user_id),
            standing=await standing_of(session, user_id, mail.sender, but=mail_id),
            contexts=tuple(await contexts_of(session, user_id)),
        )


async def _find_out(ctx: Context, room: Mailroom, loaded: _Loaded) -> Findings:
    mail, verdict = await asyncio.to_thread(_read, room, loaded)
    spam = judged(verdict)
    await ctx.step("spam", 1)
    if spam.is_spam:
        return of_spam(mail, spam)
    told = await room.text.for_attempt(ctx.attempt).analyze_email(readable(mail))
    await ctx.step("analysis", 1)
    return of_mail(told, spam)


def _read(room: Mailroom, loaded: _Loaded) -> tuple[Mail, Verdict]:
    try:
        data = room.files.get(loaded.mail.digest)
    except UnknownFile as error:
        raise Permanent(str(error), code="file_missing") from error
    mail = parse_mail(data)
    return mail, judge(loaded.by, mail, loaded.standing, loaded.mail.label)


async def _keep(ctx: Context, room: Mailroom, loaded: _Loaded, findings: Findings) -> Known:
    """Keep the findings and what follows of them: all in one transaction, each for itself."""
    mail = loaded.mail
    matched: tuple[Matched, ...] = ()
    if not findings.spam.is_spam:
        people = (mail.sender, *mail.recipients)
        matched = await asyncio.to_thread(match, loaded.contexts, mail.subject, mail.text, people)
    async with room.database.writing() as session:
        await save(session, mail, findings)
        await ctx.step("save", 1)
        uncounted = await _apart(
            session, "contact", lambda: count_mails(session, mail.user_id, [mail.id])
        )
        if uncounted:
            again = contact_update.options(user_id=mail.user_id).call(mail.user_id, [mail.id])
            await room.outbox.enqueue_after_commit(session, again)
        await ctx.step("contact", 1)
        unlinked: Sequence[Warned] = ()
        if matched:
            unlinked = await _apart(session, "contexts", lambda: link(session, mail.id, matched))
        await ctx.step("contexts", 1)
        warnings = (*uncounted, *unlinked)
        if warnings:
            await warn(session, mail.id, warnings)
    return Known(findings, warnings)


async def _apart(
    session: AsyncSession, part: Part, work: Callable[[], Awaitable[object]]
) -> Sequence[Warned]:
    """Do a part in a savepoint: where it fails it leaves nothing but a warning."""
    try:
        async with session.begin_nested():
            await work()
    except SQLAlchemyError as error:
        return [Warned(part, _told(error))]
    return []


async def _links(room: Mailroom, mail_id: str) -> tuple[Matched, ...]:
    async with room.database.reading() as session:
        return await links_of(session, mail_id)


async def _index(
    room: Mailroom, mail: StoredMail, *, warned: bool
) -> tuple[int | None, Sequence[Warned]]:
    """Let search find the mail; where it cannot, a task of its own tries on."""
    try:
        return await index_mail(room, mail, warned=warned), []
    except Exception as error:  # noqa: BLE001  # the analysis stands, whatever the index says
        failed = [Warned("index", _told(error))]
    again = email_embed.options(user_id=mail.user_id).call(mail.id, mail.user_id)
    async with room.database.writing() as session:
        await warn(session, mail.id, failed)
        await room.outbox.enqueue_after_commit(session, again)
    return None, failed


def _told(error: Exception) -> str:
    """What went wrong, for people; of SQLAlchemy's errors the database's own words."""
    return str(getattr(error, "orig", None) or error) or type(error).__name__
