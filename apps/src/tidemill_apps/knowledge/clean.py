"""Text as it was parsed to text worth searching: no noise, no page furniture."""

import re
import unicodedata
from collections import Counter
from itertools import chain
from typing import Final

from tidemill_apps.knowledge.parse import Parsed

# Control characters but tab, line feed and form feed; soft hyphen, zero-width marks, BOM, and
# U+FFFE, which PDFium writes for a hyphen at the end of a line.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060\ufeff\ufffc\ufffd]"
)
_LINE_HYPHEN: Final = re.compile(r"(?<=[a-z])(?:-\n|\ufffe\n?)(?=[a-z])")
_INNER_SPACE: Final = re.compile(r"(?<=\S)[ \t\u00a0\u3000]{2,}(?=\S)")
_EDGE_LINES: Final = 2
_MIN_PAGES: Final = 3
_FURNITURE_SHARE: Final = 0.6


def clean(parsed: Parsed) -> str:
    """Return the text with one notation for line ends and spaces and without what nobody reads.

    Of a PDF, words cut at the end of a line are joined and lines that return on top or at the
    bottom of most pages are left out. Indentation stays: it carries meaning in code.
    """
    text = unicodedata.normalize("NFC", parsed.text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _INVISIBLE.sub("", text)
    if parsed.form == "pages":
        text = _LINE_HYPHEN.sub("", _without_furniture(text.split("\f")))
    text = text.replace("\f", "\n").replace("\ufffe", "-")
    lines = (_INNER_SPACE.sub(" ", line.rstrip()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _without_furniture(pages: list[str]) -> str:
    """Join the pages without headers, footers and page numbers.

    A line is furniture if, its numbers aside, it stands at the edge of most pages.
    """
    split = [[line for line in page.split("\n") if line.strip()] for page in pages]
    if len(split) < _MIN_PAGES:
        return "\n".join(chain.from_iterable(split))
    seen = Counter(chain.from_iterable({_shape(line) for line in _edges(lines)} for lines in split))
    furniture = {shape for shape, n in seen.items() if n >= _FURNITURE_SHARE * len(split)}
    return "\n".join(chain.from_iterable(_trim(lines, furniture) for lines in split))


def _edges(lines: list[str]) -> list[str]:
    return lines[:_EDGE_LINES] + lines[-_EDGE_LINES:]


def _trim(lines: list[str], furniture: set[str]) -> list[str]:
    inner = range(_EDGE_LINES, len(lines) - _EDGE_LINES)
    return [line for at, line in enumerate(lines) if at in inner or _shape(line) not in furniture]


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())
