"""Tables of what the mailroom knows."""

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tidemill_apps.mailroom.demo.texts import Say
from tidemill_apps.mailroom.reading import (
    Analysed,
    ContactLine,
    ContextLine,
    MailLine,
    MailView,
)
from tidemill_apps.mailroom.spam.rules import Reason

MAILS: Final = 16
"""Mails that are shown: a table of all would not fit a screen."""

CONTACTS: Final = 8
_URGENCIES: Final = ("high", "medium", "low")


def show_mails(say: Say, console: Console, mails: Sequence[MailLine]) -> None:
    """The most urgent of these mails and the newest, a line each."""
    table = _table(say.mail_columns, wide=True)
    for mail in sorted(mails, key=_urgency)[:MAILS]:
        told = (mail.category, mail.urgency, mail.sentiment)
        values = [say.values.get(each or "", each or "") for each in told]
        table.add_row(mail.subject, *values, _line(mail.summary or ""))
    _print(console, say.mails, table)
    if len(mails) > MAILS:
        print(say.more.format(n=len(mails) - MAILS))


def show_spam(say: Say, console: Console, mails: Sequence[MailView]) -> None:
    """Each spam with what speaks against it, the heaviest first."""
    table = _table(say.spam_columns, wide=True)
    for mail in mails:
        if mail.analysis is not None:
            sure = f"{mail.analysis.spam_probability:.0%}"
            table.add_row(mail.subject, sure, _reasons(say, mail.analysis))
    _print(console, say.spam, table)


def show_contacts(say: Say, console: Console, contacts: Sequence[ContactLine]) -> None:
    """Who wrote most, and how kindly."""
    table = _table(say.contact_columns)
    for each in contacts[:CONTACTS]:
        mood = "" if each.sentiment is None else f"{each.sentiment:+.2f}"
        table.add_row(each.name, each.address, str(each.mails), mood)
    _print(console, say.contacts, table)


def show_context(
    say: Say, console: Console, context: ContextLine, mails: Sequence[MailLine]
) -> None:
    """A context with its mails."""
    table = _table(say.context_columns)
    for mail in mails:
        table.add_row(mail.subject, mail.sender_name or mail.sender)
    told = say.context.format(
        name=context.name,
        n=context.mails,
        words=", ".join(context.keywords),
        people=", ".join(context.stakeholders),
    )
    _print(console, told, table)


def _urgency(mail: MailLine) -> int:
    return _URGENCIES.index(mail.urgency) if mail.urgency else len(_URGENCIES)


def _reasons(say: Say, analysis: Analysed) -> str:
    """What speaks against a mail: facts first, then what was learnt."""
    reasons = msgspec.convert(analysis.spam_reasons, list[Reason])
    against = [each for each in reasons if each.points > 0]
    ordered = sorted(against, key=lambda each: (each.rule in say.rules, -each.points))
    return _line("; ".join(dict.fromkeys(say.rules.get(each.rule, each.fact) for each in ordered)))


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(columns: Sequence[str], *, wide: bool = False) -> Table:
    """A table of one line for each row; a `wide` one fills the width, and cuts what is longer."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=wide)
    for place, name in enumerate(columns):
        last = place == len(columns) - 1
        share = (3 if last else 2) if wide and (last or place == 0) else None
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=share)
    return table


def _print(console: Console, title: str, table: Table) -> None:
    print(f"\n{title}")
    console.print(table, markup=False)
