"""What the answers of a server to FETCH and SEARCH say."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from tidemill_apps.mailroom.headers import instant

HIGHEST_UID: Final = 2**32 - 1

Answer: TypeAlias = Iterable[bytes | tuple[bytes, bytes] | None]
"""As imaplib gives it: lines, and pairs of a line and the bytes that were sent after it."""

_UID: Final = re.compile(rb"\bUID (\d{1,10})\b", re.IGNORECASE)
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d{1,18})\b", re.IGNORECASE)
_DATE: Final = re.compile(rb'\bINTERNALDATE "([^"]*)"', re.IGNORECASE)
_SHORT: Final = re.compile(rb'\bBODY\[\](?:<0>)? (?:NIL|"((?:[^"\\]|\\.)*)")', re.IGNORECASE)


class Fetched(msgspec.Struct, frozen=True):
    """A mail of a folder. `data` are its first bytes only if it is `cut`: it has too many.

    `received_at` is when the server got it, in UTC.
    """

    uid: int
    data: bytes
    received_at: datetime | None = None
    cut: bool = False


def numbers(answer: Answer) -> list[int]:
    """The UIDs of a SEARCH, rising, each once; what cannot be a UID is left out."""
    lines = b" ".join(each for each in answer if isinstance(each, bytes))
    found = {int(each) for each in re.findall(rb"(?<!\S)\d{1,10}(?!\S)", lines)}
    return sorted(uid for uid in found if 0 < uid <= HIGHEST_UID)


def sizes(answer: Answer) -> dict[int, int]:
    """Bytes by UID, of a FETCH of `(UID RFC822.SIZE)`."""
    found: dict[int, int] = {}
    for line, _ in _mails(answer):
        uid, size = _UID.search(line), _SIZE.search(line)
        if uid is not None and size is not None:
            found[int(uid[1])] = int(size[1])
    return found


def mails(answer: Answer, most_bytes: int) -> Iterator[Fetched]:
    """The mails of a FETCH; what comes unasked, as news of flags do, is left out."""
    for line, sent in _mails(answer):
        uid, date = _UID.search(line), _DATE.search(line)
        data = sent if sent is not None else _short(line)
        if uid is not None and data is not None:
            yield Fetched(
                uid=int(uid[1]),
                data=data[:most_bytes],
                received_at=instant(date[1].decode("ascii", "replace")) if date else None,
                cut=len(data) > most_bytes,
            )


def _mails(answer: Answer) -> Iterator[tuple[bytes, bytes | None]]:
    """Each mail's whole line, and the bytes sent in its middle; the line goes on after them."""
    line, sent = b"", None
    for each in answer:
        if isinstance(each, tuple):
            line, sent = line + each[0], each[1]
        elif each is not None:
            yield line + b" " + each, sent
            line, sent = b"", None


def _short(line: bytes) -> bytes | None:
    """A mail that a server wrote into the line, as some do with an empty one."""
    found = _SHORT.search(line)
    return None if found is None else re.sub(rb"\\(.)", rb"\1", found[1] or b"")
