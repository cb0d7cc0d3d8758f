"""What people read of a mailroom."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from tidemill_apps.mailroom.analysing import Warned
from tidemill_apps.mailroom.labels import Label
from tidemill_apps.mailroom.spam.rules import Reason
from tidemill_apps.services.text.values import ActionItem, Category, Origin, Sentiment, Urgency

ContactOrder: TypeAlias = Literal["mails", "last", "sentiment"]


class MailQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which mails, newest first; what is None does not restrict.

    `contact` is the address of a sender. `since` and `until` are instants with a zone, the first
    included. `cursor` is that of the page before; `limit` counts mails of a page.
    """

    category: Category | None = None
    contact: str | None = None
    context_id: str | None = None
    spam: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None
    limit: int = 50


class MailLine(msgspec.Struct, frozen=True):
    """A mail in a list. What the analysis says is None before it; `label` is the user's word."""

    id: str
    sent_at: datetime
    sender: str
    sender_name: str
    subject: str
    folder: str
    label: Label | None
    category: Category | None
    sentiment: Sentiment | None
    urgency: Urgency | None
    is_spam: bool | None
    summary: str | None


class MailPage(msgspec.Struct, frozen=True):
    """Mails, newest first; `cursor` asks for those after them, None after the last page."""

    mails: tuple[MailLine, ...]
    cursor: str | None


class Analysed(msgspec.Struct, frozen=True):
    """What is known of a mail, and who found it out (`origin`).

    `sentiment_score` is in -1..1, `spam_probability` in 0..1. `degraded`: the provider was down,
    and it was found out without it.
    """

    category: Category
    sentiment: Sentiment
    sentiment_score: float
    urgency: Urgency
    summary: str
    language: str
    action_items: tuple[ActionItem, ...]
    keywords: tuple[str, ...]
    is_spam: bool
    spam_probability: float
    spam_reasons: tuple[Reason, ...]
    origin: Origin
    degraded: bool
    warnings: tuple[Warned, ...]
    analyzed_at: datetime


class Matched(msgspec.Struct, frozen=True):
    """A context that a mail belongs to, and the word or address that says so."""

    id: str
    name: str
    matched: str


class MailView(msgspec.Struct, frozen=True):
    """A mail with all that is known of it; its own bytes are the file `digest`.

    `parse_error` says what is wrong with it. `passages` are found by search, None: not yet.
    """

    id: str
    sent_at: datetime
    stored_at: datetime
    sender: str
    sender_name: str
    recipients: tuple[str, ...]
    subject: str
    folder: str
    account_id: str | None
    digest: str
    text: str
    parse_error: str | None
    label: Label | None
    passages: int | None
    analysis: Analysed | None
    contexts: tuple[Matched, ...]


class ContactLine(msgspec.Struct, frozen=True):
    """Somebody who wrote; `sentiment` is the mean of their mails' (-1..1), None before any is."""

    id: str
    address: str
    name: str
    mails: int
    last_at: datetime
    sentiment: float | None


class ContextLine(msgspec.Struct, frozen=True):
    """What a user works on, and how many mails belong to it."""

    id: str
    name: str
    keywords: tuple[str, ...]
    stakeholders: tuple[str, ...]
    created_at: datetime
    mails: int


class MailStatistics(msgspec.Struct, frozen=True):
    """A user's mail in numbers.

    `categories` counts the analysed mails, spam among them. `degraded` were analysed while the
    provider was down, `unindexed` are not spam and not found by search yet, and `malformed` are not
    as the standards of mail want them.
    """

    mails: int
    analyzed: int
    categories: Mapping[str, int]
    spam: int
    degraded: int
    unindexed: int
    malformed: int
    contacts: int
    contexts: int
