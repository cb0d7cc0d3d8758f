"""Routes of mails, search and statistics."""

import asyncio
from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from tidemill import ConfigError
from tidemill_apps.mailroom.api.asking import Asked, asking
from tidemill_apps.mailroom.api.bodies import LabelBody, Labelled, TaskAsked
from tidemill_apps.mailroom.api.problems import PROBLEMS
from tidemill_apps.mailroom.asking import ANALYZE, ask, ask_with_label
from tidemill_apps.mailroom.reading import (
    MailLine,
    MailPage,
    MailQuery,
    MailStatistics,
    MailView,
    mail_of,
    mails_by_id,
    mails_of,
    statistics_of,
)
from tidemill_apps.services.text.values import Category

Limit = Annotated[int, QueryParameter(ge=1, le=200)]
Question = Annotated[str, QueryParameter(min_length=1, max_length=1000)]
Instant = FromQuery[datetime | None]
Short = Annotated[str | None, QueryParameter(max_length=1000)]


class Answer(msgspec.Struct, frozen=True):
    """A mail that answers a question, with its best passage; `score` orders one question's hits."""

    mail: MailLine
    text: str
    score: float


class Answers(msgspec.Struct, frozen=True):
    """The best first. `degraded`: by words alone, since meanings could not be compared."""

    hits: tuple[Answer, ...]
    degraded: bool
    reason: str | None


@get("/mails", responses=PROBLEMS)
async def get_mails(
    request: Asked,
    *,
    category: FromQuery[Category | None] = None,
    contact: Short = None,
    context: Short = None,
    spam: FromQuery[bool | None] = None,
    since: Instant = None,
    until: Instant = None,
    cursor: Short = None,
    limit: Limit = 50,
) -> MailPage:
    """The user's mails, newest first: those of a category, a contact (address), a context (id)."""
    asked = asking(request)
    query = MailQuery(
        category=category,
        contact=_plain("contact", contact),
        context_id=_plain("context", context),
        spam=spam,
        since=_aware("since", since),
        until=_aware("until", until),
        cursor=cursor,
        limit=limit,
    )
    async with asked.mailroom.database.reading() as session:
        return await mails_of(session, asked.user_id, query)


@get("/mails/{mail_id:str}", responses=PROBLEMS)
async def get_mail(request: Asked, mail_id: FromPath[str]) -> MailView:
    """A mail with all that is known of it."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        return await mail_of(session, asked.user_id, mail_id)


@post("/mails/{mail_id:str}/analyze", status_code=202, responses=PROBLEMS)
async def analyze_mail(
    request: Asked, mail_id: FromPath[str], *, force: FromQuery[bool] = False
) -> TaskAsked:
    """Have a mail analysed; `force`: also where it was analysed before and nothing is missing."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        mail = await mail_of(session, asked.user_id, mail_id)
    handle = await ask(asked.app, ANALYZE, asked.user_id, email_id=mail.id, force=force)
    return TaskAsked(handle.id, handle.duplicate)


@put("/mails/{mail_id:str}/label", responses=PROBLEMS)
async def put_label(request: Asked, mail_id: FromPath[str], data: JSONBody[LabelBody]) -> Labelled:
    """Say what a mail is: it is judged by that, and the spam filter learns from it."""
    asked = asking(request)
    await ask_with_label(asked.app, asked.mailroom, asked.user_id, mail_id, data.label)
    return Labelled(mail_id, data.label)


@get("/search", responses=PROBLEMS)
async def search(
    request: Asked,
    q: Question,
    k: Limit = 10,
    since: Instant = None,
    until: Instant = None,
) -> Answers:
    """The mails that answer a question, by their meaning and by their words."""
    asked = asking(request)
    mailroom, question = asked.mailroom, _plain("q", q)
    found = await asyncio.to_thread(
        mailroom.index.search,
        asked.user_id,
        question or "",
        k,
        since=_aware("since", since),
        until=_aware("until", until),
    )
    async with mailroom.database.reading() as session:
        lines = await mails_by_id(session, asked.user_id, [hit.mail_id for hit in found.hits])
    hits = tuple(
        Answer(lines[hit.mail_id], hit.text, hit.score)
        for hit in found.hits
        if hit.mail_id in lines
    )
    return Answers(hits, found.degraded, found.reason)


@get("/statistics", responses=PROBLEMS)
async def get_statistics(request: Asked) -> MailStatistics:
    """The user's mail in numbers."""
    asked = asking(request)
    async with asked.mailroom.database.reading() as session:
        return await statistics_of(session, asked.user_id)


HANDLERS: Final = (get_mails, get_mail, analyze_mail, put_label, search, get_statistics)


def _aware(name: str, instant: datetime | None) -> datetime | None:
    if instant is not None and instant.tzinfo is None:
        raise ConfigError(f"{name}: {instant.isoformat()} has no zone; write it with Z or +00:00")
    return instant


def _plain(name: str, text: str | None) -> str | None:
    if text is not None and "\0" in text:
        raise ConfigError(f"{name} has the character 0 in it")
    return text
