"""Header fields as values: words, addresses, ids, instants."""

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import getaddresses, parsedate_to_datetime
from typing import Final

import msgspec

from tidemill_apps.mailroom.charsets import clean, decode

# RFC 2047; the text is matched loosely, since many write spaces into it.
_ENCODED: Final = re.compile(r"=\?([^?*\s]{1,60})(?:\*[^?\s]*)?\?([bBqQ])\?([^?]*)\?=")
_MESSAGE_ID: Final = re.compile(r"<([^<>\s]+)>")
_MOST_ADDRESSES: Final = 1000


class Address(msgspec.Struct, frozen=True):
    """A mailbox: the name that its owner shows (may be empty) and the address in lower case."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """What stands after the `@`; empty if nothing does."""
        return self.address.rpartition("@")[2] if "@" in self.address else ""


def words(raw: str) -> str:
    """Return a field's value as a reader sees it: encoded words decoded, on one line."""
    return " ".join(clean("".join(_decoded(raw))).split())


def addresses(raw: str) -> tuple[Address, ...]:
    """Return the mailboxes of a field, at most 1,000; what is no address is left out."""
    # The list is taken apart before its words are decoded: a name may decode to one with a comma.
    try:
        found = getaddresses([" ".join(raw.split())])
    except (IndexError, RecursionError, ValueError):  # it takes comments apart by recursion
        return ()
    mailboxes = (
        Address(words(name), "".join(words(address).lower().split())) for name, address in found
    )
    return tuple(each for each in mailboxes if each.address)[:_MOST_ADDRESSES]


def message_ids(raw: str) -> tuple[str, ...]:
    """Return the ids of a field without their brackets; one that stands bare counts too."""
    found = _MESSAGE_ID.findall(clean(_ascii(raw)))
    bare = clean(_ascii(raw)).split()
    return tuple(found) or tuple(bare[:1])


def instant(raw: str) -> datetime | None:
    """Return the instant of a date field, in UTC; None when it is none. No zone means UTC."""
    try:
        parsed = parsedate_to_datetime(_ascii(raw))
        aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (IndexError, OverflowError, TypeError, ValueError):
        return None


def _ascii(raw: str) -> str:
    return raw.encode("ascii", "ignore").decode("ascii")


def _decoded(raw: str) -> Iterator[str]:
    """Yield the decoded pieces of a value.

    Neighbours in one charset are joined before they are decoded: programs cut Chinese characters
    in two. The space between encoded words is no part of the value.
    """
    end, waiting, charset = 0, b"", ""
    for found in _ENCODED.finditer(raw):
        between = raw[end : found.start()]
        end = found.end()
        if between.strip() or charset != found[1].lower():
            yield decode(waiting, charset).text
            waiting, charset = b"", found[1].lower()
            if between.strip() or not waiting:
                yield _plain(between)
        waiting += _bytes(found[2], found[3])
    yield decode(waiting, charset).text
    yield _plain(raw[end:])


def _plain(raw: str) -> str:
    """Return what is not encoded; bytes beyond ASCII (surrogates here) are guessed."""
    return decode(raw.encode("utf-8", "surrogateescape"), "").text


def _bytes(encoding: str, text: str) -> bytes:
    ascii_text = _ascii(text)
    if encoding in "qQ":
        return binascii.a2b_qp(ascii_text.encode(), header=True)
    letters = re.sub(r"[^A-Za-z0-9+/]", "", ascii_text)
    # One letter beyond a multiple of four holds no whole byte.
    whole = letters[:-1] if len(letters) % 4 == 1 else letters
    return binascii.a2b_base64(whole + "=" * (-len(whole) % 4))
