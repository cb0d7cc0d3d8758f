"""Rules that a person could have written down: each gives points and says why."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from tidemill_apps.mailroom.message import Mail
from tidemill_apps.mailroom.spam.features import host_of, links
from tidemill_apps.mailroom.spam.keywords import Keywords

_WITHIN: Final = 100_000
_MOST_SUBJECT: Final = 3.0
_MOST_BODY: Final = 2.5
_MOST_REPUTATION: Final = 3.0
_WORD_END: Final = r"(?![a-z0-9])"


class Reason(msgspec.Struct, frozen=True):
    """Why a mail got points: the rule, its points (log odds; below 0 for a good sign), the fact."""

    rule: str
    points: float
    fact: str


class Standing(msgspec.Struct, frozen=True):
    """How many mails of a sender were spam, and how many were good, as their reader said."""

    spam: int = 0
    ham: int = 0


def rule_reasons(mail: Mail, keywords: Keywords, standing: Standing) -> tuple[Reason, ...]:
    """Return what each rule that applies says of a mail.

    A way to unsubscribe is no rule: honest newsletters have one.
    """
    return (
        *_found("subject", mail.subject, keywords.subject, _MOST_SUBJECT),
        *_found("body", mail.text[:_WITHIN], keywords.body, _MOST_BODY),
        *(reason for rule in _SHAPE for reason in rule(mail)),
        *_reputation(mail, standing),
    )


def _found(rule: str, text: str, words: Mapping[str, float], most: float) -> Iterator[Reason]:
    """Yield the words that occur, the heaviest first, until their points reach `most`."""
    lowered = " ".join(text.lower().split())
    left = most
    for word, points in sorted(words.items(), key=lambda each: (-each[1], each[0])):
        if left > 0 and _occurs(word.lower(), lowered):
            yield Reason(rule, min(points, left), f"“{word}” in the {rule}")
            left -= points


def _occurs(word: str, text: str) -> bool:
    if word not in text:
        return False
    bounded = rf"(?<![a-z0-9]){re.escape(word)}{_WORD_END}"
    return not word.isascii() or re.search(bounded, text) is not None


def _length(mail: Mail) -> Iterator[Reason]:
    length = len(mail.text)
    if length < 20 and (links(mail) or any(page.images for page in mail.pages)):
        yield Reason("too short", 1.5, f"{length} characters of text beside links or images")
    elif length > 60_000:
        yield Reason("too long", 0.3, f"{length} characters of text")


def _page(mail: Mail) -> Iterator[Reason]:
    if mail.is_page_only:
        yield Reason("page only", 0.8, "HTML without a plain text beside it")
    if any(page.forms for page in mail.pages):
        yield Reason("form", 0.8, "a form to fill in")
    hidden = sum(page.hidden for page in mail.pages)
    if hidden:
        yield Reason("hidden text", 1.0, f"{hidden} characters that no reader sees")


def _links(mail: Mail) -> Iterator[Reason]:
    hosts = [host_of(link) for link in links(mail)]
    bare = next((host for host in hosts if host and host.replace(".", "").isdecimal()), None)
    if bare is not None:
        yield Reason("bare address", 2.0, f"a link to the number {bare}")
    if any("@" in link.partition("://")[2].partition("/")[0] for link in links(mail)):
        yield Reason("misleading link", 2.0, "a link with a name before its host")


def _shouting(mail: Mail) -> Iterator[Reason]:
    letters = [letter for letter in mail.subject if letter.isascii() and letter.isalpha()]
    if len(letters) >= 8 and sum(map(str.isupper, letters)) > 0.8 * len(letters):
        yield Reason("shouting", 0.8, "a subject in capitals")
    if "!!" in mail.subject or "$$" in mail.subject:
        yield Reason("shouting", 0.8, "a subject with doubled ! or $")


def _sender(mail: Mail) -> Iterator[Reason]:
    if mail.sender is None:
        yield Reason("sender", 1.0, "no sender")
    elif not mail.sender.domain:
        yield Reason("sender", 0.8, f"{mail.sender.address} is no complete address")
    if not mail.message_id:
        yield Reason("sender", 0.5, "no Message-ID")


_SHAPE: Final[tuple[Callable[[Mail], Iterator[Reason]], ...]] = (
    _length,
    _page,
    _links,
    _shouting,
    _sender,
)


def _reputation(mail: Mail, standing: Standing) -> Iterator[Reason]:
    if mail.sender is not None and (standing.spam or standing.ham):
        points = math.log((standing.spam + 0.5) / (standing.ham + 0.5))
        bounded = max(-_MOST_REPUTATION, min(_MOST_REPUTATION, points))
        told = f"{mail.sender.address} sent {standing.spam} spam and {standing.ham} good before"
        yield Reason("reputation", bounded, told)
