"""`mailroom search`, `mails`, `show`, `label`, `contacts` and `stats`."""

import asyncio
from argparse import Namespace

from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import NotFound
from tidemill_apps.mailroom.asking import ask_with_label
from tidemill_apps.mailroom.cli.contexts import context_said
from tidemill_apps.mailroom.cli.output import show, show_json, show_one
from tidemill_apps.mailroom.cli.session import Session
from tidemill_apps.mailroom.cli.telling import note
from tidemill_apps.mailroom.reading import (
    Analysed,
    MailLine,
    MailQuery,
    MailView,
    contacts_of,
    mail_of,
    mails_by_id,
    mails_like,
    mails_of,
    statistics_of,
)

SHORT = 8
"""Characters of an id that tables show; commands take them for the whole."""

_LINE = ("mail", "sent_at", "sender", "category", "urgency", "subject")


async def search(session: Session, said: Namespace) -> int:
    """Print the mails that answer a question; 1 if none does."""
    async with session.opened() as mailroom:
        user_id = await session.user_id(mailroom)
        answer = await asyncio.to_thread(
            mailroom.index.search,
            user_id,
            said.question,
            said.k,
            since=said.since,
            until=said.until,
        )
        async with mailroom.database.reading() as reading:
            lines = await mails_by_id(reading, user_id, [hit.mail_id for hit in answer.hits])
    found = [(lines[hit.mail_id], hit) for hit in answer.hits if hit.mail_id in lines]
    if session.form == "json":
        told = [{"mail": line, "text": hit.text, "score": hit.score} for line, hit in found]
        show_json({"hits": told, "degraded": answer.degraded, "reason": answer.reason})
    else:
        for line, hit in found:
            print(f"{_heading(session, line)}\n    {' '.join(hit.text.split())}\n")
    if answer.degraded:
        note(session.say("search.degraded", reason=answer.reason))
    if not found:
        note(session.say("search.nothing"))
    return 0 if found else 1


async def listed(session: Session, said: Namespace) -> int:
    """Print a page of mails, newest first."""
    async with session.opened() as mailroom, mailroom.database.reading() as reading:
        user_id = await session.user_id(mailroom)
        query = MailQuery(
            category=said.category,
            contact=said.contact,
            context_id=said.context and await context_said(session, reading, user_id, said.context),
            spam=said.spam,
            since=said.since,
            until=said.until,
            cursor=said.after,
            limit=said.limit,
        )
        page = await mails_of(reading, user_id, query)
    rows = [_cells(line) for line in page.mails]
    show(session, page, _LINE, rows)
    if page.cursor is not None and session.form == "table":
        note(session.say("mails.more", cursor=page.cursor))
    return 0


async def show_mail(session: Session, said: Namespace) -> int:
    """Print one mail with all that is known of it."""
    async with session.opened() as mailroom, mailroom.database.reading() as reading:
        user_id = await session.user_id(mailroom)
        mail_id = await _mail_said(session, reading, user_id, said.mail)
        mail = await mail_of(reading, user_id, mail_id)
    lines = {**_lines_of(mail), **({} if mail.analysis is None else _findings(mail.analysis))}
    show_one(session, mail, lines)
    if session.form == "table":
        print(f"\n{mail.text}")
    return 0


async def label_mail(session: Session, said: Namespace) -> int:
    """Keep what the user calls a mail."""
    called = None if said.label == "none" else said.label
    async with session.opened() as mailroom:
        user_id = await session.user_id(mailroom)
        async with mailroom.database.reading() as reading:
            mail_id = await _mail_said(session, reading, user_id, said.mail)
        await ask_with_label(session.app, mailroom, user_id, mail_id, called)
    show_one(session, {"id": mail_id, "label": called}, {"mail": mail_id, "label": said.label})
    return 0


async def contacts(session: Session, said: Namespace) -> int:
    """Print who wrote, the most mails, the latest or the kindest first."""
    async with session.opened() as mailroom, mailroom.database.reading() as reading:
        user_id = await session.user_id(mailroom)
        found = await contacts_of(reading, user_id, order=said.by, limit=said.limit)
    rows = [(each.address, each.name, each.mails, each.last_at, each.sentiment) for each in found]
    columns = ("address", "name", "mails", "last_at", "sentiment")
    show(session, {"contacts": found}, columns, rows)
    return 0


async def statistics(session: Session, _: Namespace) -> int:
    """Print everything in numbers."""
    async with session.opened() as mailroom, mailroom.database.reading() as reading:
        user_id = await session.user_id(mailroom)
        told = await statistics_of(reading, user_id)
    lines = {name: getattr(told, name) for name in told.__struct_fields__}
    show_one(session, told, lines)
    return 0


def _lines_of(mail: MailView) -> dict[str, object]:
    return {
        "mail": mail.id,
        "sent_at": mail.sent_at,
        "sender": _sender(mail.sender_name, mail.sender),
        "recipients": mail.recipients,
        "subject": mail.subject,
        "folder": mail.folder,
        "label": mail.label,
        "parse_error": mail.parse_error,
        "passages": mail.passages,
        "contexts": [f"{each.name} ({each.matched})" for each in mail.contexts],
    }


def _findings(analysis: Analysed) -> dict[str, object]:
    deadlines = {
        each.text: f" ({each.deadline})" if each.deadline else "" for each in analysis.action_items
    }
    origin = analysis.origin
    return {
        "category": analysis.category,
        "sentiment": f"{analysis.sentiment} ({analysis.sentiment_score:+.2f})",
        "urgency": analysis.urgency,
        "summary": analysis.summary,
        "action_items": "\n".join(f"{text}{until}" for text, until in deadlines.items()),
        "keywords": analysis.keywords,
        "spam": f"{analysis.spam_probability:.0%}",
        "spam_reasons": "\n".join(
            f"{each.points:+.2f} {each.rule}: {each.fact}" for each in analysis.spam_reasons
        ),
        "origin": f"{origin.provider}, {origin.model} ({origin.mode})",
        "degraded": origin.reason if analysis.degraded else None,
        "warnings": "\n".join(f"{each.part}: {each.text}" for each in analysis.warnings),
        "analyzed_at": analysis.analyzed_at,
    }


async def _mail_said(session: Session, reading: AsyncSession, user_id: str, part: str) -> str:
    """The mail whose id begins as was said; `NotFound` when none or several do."""
    found = await mails_like(reading, user_id, part)
    if len(found) == 1:
        return found[0]
    raise NotFound(session.say("mail.several" if found else "mail.unknown", mail=part))


def _heading(session: Session, line: MailLine) -> str:
    sent = line.sent_at.astimezone()
    subject = line.subject or session.say("mail.no_subject")
    return (
        f"{line.id[:SHORT]}  {sent:%Y-%m-%d}  {_sender(line.sender_name, line.sender)}: {subject}"
    )


def _cells(line: MailLine) -> tuple[object, ...]:
    sender = line.sender_name or line.sender
    category = line.category
    return line.id[:SHORT], line.sent_at, sender, category, line.urgency, line.subject


def _sender(name: str, address: str) -> str:
    return f"{name} <{address}>" if name else address
