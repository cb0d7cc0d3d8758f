"""A text cut into sentences, each a slice of it."""

import re
from collections.abc import Iterator
from typing import Final

_QUOTED: Final = re.compile(
    r"""
    ^-{2,3}[ ]?$\n(?s:.*)                                  # a signature, to the end
    | ^-+[ ]?(?:Original[ ]Message|Forwarded|原始邮件).*\n(?s:.*)
    | ^(?:[>|].*(?:\n|$))+                                 # quoted lines
    | ^On\b[^\n]{5,100}(?:\n[^\n]{1,60})?\bwrote:[ ]*$     # what introduces them
    | ^[^\n]{0,40}\d{4}[^\n]{3,60}写道[:：][ ]*$
    """,
    re.MULTILINE | re.VERBOSE,
)
_PARAGRAPH: Final = re.compile(r"\n[ \t\r]*\n|\n(?=[ \t]*(?:[-*•·]|\d{1,2}[.)、])[ \t]*\S)")
_END: Final = re.compile(
    r"""
    [。！？!?…]+[”’」』"')）\]]*                             # Chinese ends, and loud ones
    | ;(?=[\u3400-\u9fff])|；
    | \.+["')\]”’]*(?=\s)                                  # a full stop before white space
    """,
    re.VERBOSE,
)
_NO_END: Final = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|no|inc|ltd|co|corp|fig|approx|dept|jr|sr"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)|\b[A-Z]|^\s*\d{1,2})\.$",
    re.IGNORECASE,
)
_LETTER: Final = re.compile(r"[^\W\d_]")
_HARD_LINE: Final = 45
"""Shorter lines end before the margin does: their end is meant, and not made by wrapping."""


def own_text(text: str) -> str:
    """The text of a mail without its quotations and its signature, each replaced by a blank line.

    What is left are whole lines of the mail. A mail of nothing but quotations is left as it is.
    """
    kept = _QUOTED.sub("\n", text)
    return kept if _LETTER.search(kept) else text


def sentences(text: str) -> tuple[str, ...]:
    """The sentences in order; each is a slice of the text, without white space at its ends.

    Blank lines, items of lists and lines that stop short end a sentence too.

    >>> sentences("Dr. Ng agrees. Do you? 好的。明天见！")
    ('Dr. Ng agrees.', 'Do you?', '好的。', '明天见！')
    """
    return tuple(
        sentence
        for paragraph in _cut(text, _PARAGRAPH)
        for line in _lines(paragraph)
        for sentence in _ends(line)
        if _LETTER.search(sentence)
    )


def _cut(text: str, at: re.Pattern[str]) -> Iterator[str]:
    start = 0
    for match in at.finditer(text):
        yield text[start : match.start()]
        start = match.end()
    yield text[start:]


def _lines(paragraph: str) -> Iterator[str]:
    """Slices of a paragraph that end where a line stops well before its margin."""
    start = end = 0
    for line in paragraph.splitlines(keepends=True):
        end += len(line)
        if _width(line.rstrip()) < _HARD_LINE:
            yield paragraph[start:end]
            start = end
    yield paragraph[start:]


def _width(line: str) -> int:
    """Columns: a Chinese character takes two."""
    return sum(2 if character >= "\u2e80" else 1 for character in line)


def _ends(line: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(line):
        if _NO_END.search(line[start : match.end()]) and match[0] == ".":
            continue
        yield line[start : match.end()].strip()
        start = match.end()
    yield line[start:].strip()
