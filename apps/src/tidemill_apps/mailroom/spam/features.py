"""What a mail shows to the spam filter: the words it uses, and how it is made."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from tidemill_apps.mailroom.message import Mail

_WORD: Final = re.compile(r"[^\W\d_][\w'.-]*[^\W_]|[$€£¥]?\d[\d,.]*%?|[!?]{2,}")
_HAN: Final = re.compile(r"[\u3400-\u9fff]+")
_WITHIN: Final = 100_000
_LONGEST_WORD: Final = 20
_URL: Final = re.compile(r"(?:https?|ftp)://[^\s<>\"')\]]+", re.IGNORECASE)
_TOLD: Final = ("list-id", "list-post", "list-unsubscribe", "auto-submitted", "errors-to")
_COUNTED: Final = ("organization", "precedence", "user-agent", "x-mailer", "x-priority")


def features(mail: Mail) -> frozenset[str]:
    """Return the features of a mail, each once: words as they are, all others as `kind:value`.

    How often a word occurs says little more than that it occurs. Chinese is taken in pairs of
    characters, which needs no dictionary. What the servers on the way wrote (Received, the marks
    of other filters) is left out: it tells one mailbox's past, not spam.
    """
    return frozenset((*_of_text(mail), *_of_links(mail), *_of_origin(mail), *_of_shape(mail)))


def names_somebody(feature: str) -> bool:
    """Return whether a feature is an address, a person's name or a host: no table to be shared."""
    kind, _, value = feature.partition(":")
    is_host = kind == "link" and "." in value.removeprefix(".")
    return kind in {"from", "name", "id"} or is_host


def links(mail: Mail) -> tuple[str, ...]:
    """Return what a mail links to, in its text or on its pages."""
    inside = (link for page in mail.pages for link in page.links)
    return (*_URL.findall(mail.text[:_WITHIN]), *inside)


def host_of(link: str) -> str:
    """Return the host that a link names, in lower case; empty if it names none."""
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""


def tokens(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case, and the pairs of its Chinese characters."""
    for word in _WORD.findall(_HAN.sub(" ", text)):
        if len(word) <= _LONGEST_WORD:
            yield word.lower()
        else:
            yield f"long:{word[0].lower()}{len(word) // 10}"
    for run in _HAN.findall(text):
        yield from (run[at : at + 2] for at in range(max(len(run) - 1, 1)))


def _of_text(mail: Mail) -> Iterator[str]:
    text = _URL.sub(" ", mail.text[:_WITHIN])
    yield from tokens(text)
    for word in _WORD.findall(text):
        if word.isupper() and len(word) > 3:
            yield f"loud:{word.lower()}" if len(word) <= _LONGEST_WORD else "loud:long"
    for token in tokens(mail.subject):
        yield f"subject:{token}"
    if mail.subject.isupper():
        yield "subject:loud"


def _of_links(mail: Mail) -> Iterator[str]:
    for link in links(mail):
        host = host_of(link)
        labels = host.split(".")
        yield f"link:{host}"
        yield f"link:{'.'.join(labels[-2:])}"
        yield "link:number" if labels[-1].isdecimal() else f"link:.{labels[-1]}"
        yield from (f"link:{part}" for part in re.findall(r"[a-z]{3,}", _path(link)))


def _path(link: str) -> str:
    return link.lower().partition("://")[2].partition("/")[2][:200]


def _of_origin(mail: Mail) -> Iterator[str]:
    if mail.sender is None:
        yield "from:nobody"
    else:
        yield f"from:{mail.sender.address}"
        yield f"from:{mail.sender.domain}"
        yield from (f"name:{token}" for token in tokens(mail.sender.name))
        yield f"name:{'given' if mail.sender.name else 'none'}"
    if mail.reply_to:
        yield "reply:same" if mail.sender in mail.reply_to else "reply:other"
    yield "answer" if mail.answers else "no-answer"
    yield f"to:{min(len(mail.to), 5)}"
    yield f"cc:{min(len(mail.cc), 5)}"
    host = mail.message_id.rpartition("@")[2]
    yield "id:none" if not mail.message_id else f"id:{host}"
    for name in _TOLD:
        if name in mail.headers:
            yield f"has:{name}"
    for name in _COUNTED:
        value = mail.headers.get(name, "none").lower()
        yield from (f"{name}:{token}" for token in re.findall(r"[a-z0-9]+", value)[:6])


def _of_shape(mail: Mail) -> Iterator[str]:
    yield from (f"part:{kind}" for kind in mail.content_types)
    kind = mail.headers.get("content-type", "none").lower()
    yield from (f"type:{token}" for token in re.findall(r"charset=\"?[\w-]+|format=\w+", kind))
    yield f"encoding:{mail.headers.get('content-transfer-encoding', 'none').lower()}"
    yield f"mime:{mail.headers.get('mime-version', 'none')}"
    yield f"size:{len(mail.text).bit_length()}"
    yield f"links:{min(len(links(mail)), 64).bit_length()}"
    for page in mail.pages:
        yield f"images:{page.images.bit_length()}"
        if page.forms:
            yield "page:form"
        if page.hidden:
            yield "page:hidden"
    if mail.is_page_only:
        yield "page:only"
    yield from (f"file:{each.name.rpartition('.')[2].lower()}" for each in mail.attachments)
    yield from (f"defect:{each}" for each in mail.defects)
