"""The parts of a mail: its text, its pages, its attachments."""

import re
from collections.abc import Iterator
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Final, TypeAlias

import msgspec

from tidemill_apps.mailroom.charsets import clean, decode
from tidemill_apps.mailroom.headers import words
from tidemill_apps.mailroom.page import Page, read_page

Part: TypeAlias = "Message[str, str]"

_META_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE
)
_META_WITHIN: Final = 2048


class Attachment(msgspec.Struct, frozen=True):
    """A file in a mail: its name (may be empty), its kind, its size in bytes, decoded."""

    name: str
    content_type: str
    size: int


class Piece(msgspec.Struct, frozen=True):
    """What one leaf of a mail adds to it."""

    text: str = ""
    page: Page | None = None
    attachment: Attachment | None = None
    content_type: str = ""
    defects: tuple[str, ...] = ()


def pieces(part: Part) -> tuple[Piece, ...]:
    """Return the leaves below a part, in order; of alternatives, all but one come without text.

    The one kept is the last plain text that is not blank, else the last that is not.
    """
    flawed = _flaws(part)
    if part.get_content_maintype() == "message":
        return (Piece(attachment=_attached(part), content_type=_kind(part), defects=flawed),)
    if not part.is_multipart():
        return (_leaf(part, flawed),)
    inside = [piece for child in _children(part) for piece in pieces(child)]
    if part.get_content_subtype() == "alternative":
        inside = list(_one_text(inside))
    return (*inside, Piece(content_type=_kind(part), defects=flawed))


def _one_text(inside: list[Piece]) -> Iterator[Piece]:
    told = [piece for piece in inside if piece.text.strip()]
    plain = [piece for piece in told if piece.page is None]
    kept = (plain or told)[-1:]
    for piece in inside:
        chosen = any(piece is each for each in kept)
        yield piece if chosen else msgspec.structs.replace(piece, text="")


def _leaf(part: Part, flawed: tuple[str, ...]) -> Piece:
    kind = _kind(part)
    data = _content(part)
    name = _name(part)
    is_file = part.get_content_disposition() == "attachment" or bool(name)
    if is_file or part.get_content_maintype() != "text":
        file = Attachment(name, kind, len(data))
        return Piece(attachment=file, content_type=kind, defects=flawed)
    is_page = kind == "text/html"
    charset = _parameter(part, "charset") or (_charset_of_page(data) if is_page else "")
    text, defect = decode(data, charset)
    page = read_page(text) if is_page else None
    return Piece(
        text=page.text if page is not None else text,
        page=page,
        content_type=kind,
        defects=(*flawed, defect) if defect else flawed,
    )


def _charset_of_page(data: bytes) -> str:
    found = _META_CHARSET.search(data, 0, _META_WITHIN)
    return found[1].decode("ascii", "replace") if found else ""


def _children(part: Part) -> list[Part]:
    content = part.get_payload()
    return [child for child in content if isinstance(child, Message)]


def _content(part: Part) -> bytes:
    """Return the bytes of a leaf, decoded; as they stand when their encoding is a lie."""
    try:
        content = part.get_payload(decode=True)
    except (AssertionError, LookupError, TypeError, ValueError):
        content = None
    return content if isinstance(content, bytes) else _as_sent(part)


def _as_sent(part: Part) -> bytes:
    """Return the bytes of a part without its head, its encoding not undone."""
    content = vars(part).get("_payload")
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape")
    return b"\n".join(_as_sent(child) for child in _children(part))


def _attached(part: Part) -> Attachment:
    inner = next(iter(_children(part)), None)
    subject = words(str(inner.get("Subject", ""))) if inner is not None else ""
    return Attachment(_name(part) or subject, _kind(part), len(_as_sent(part)))


def _name(part: Part) -> str:
    name = _parameter(part, "filename", "content-disposition") or _parameter(part, "name")
    return words(name)


def _parameter(part: Part, name: str, field: str = "content-type") -> str:
    """Return a parameter of a field, RFC 2231 undone; empty if there is none that can be read."""
    try:
        return collapse_rfc2231_value(part.get_param(name, "", field)).strip()
    except (LookupError, TypeError, ValueError):
        return ""


def _kind(part: Part) -> str:
    return clean(part.get_content_type())[:100]


def _flaws(part: Part) -> tuple[str, ...]:
    return tuple(_spoken(type(defect).__name__) for defect in part.defects)


def _spoken(name: str) -> str:
    """Return a name in camel case as words: `MissingHeaderBodySeparatorDefect` loses `Defect`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("Defect"))
    return parted.lower()
