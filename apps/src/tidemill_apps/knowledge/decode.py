"""Bytes to text, for files that do not say how they are encoded."""

import codecs
import re
from typing import Final

from tidemill_apps.knowledge.refusal import DocumentRefused

# UTF-32 before UTF-16: its little-endian mark starts with the other's.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HIGH_RUN: Final = re.compile(rb"[\x80-\xff]+")
_MOST_CONTROL: Final = 0.01
_CHINESE_SHARE: Final = 0.8


def decode(data: bytes) -> str:
    """Return the text of `data`: by its byte order mark, else UTF-8, GB 18030 or Latin.

    The last two cannot be told apart with certainty: high bytes stand mostly in runs in Chinese
    and mostly alone in European text. Other encodings are read wrongly, not refused. Raises
    `DocumentRefused` (`corrupt`) for bytes that are no text.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None:
        encoding = _guess(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"not {error.encoding} text: {error.reason} at byte {error.start}"
        raise DocumentRefused("corrupt", reason) from None
    if len(_CONTROL.findall(text)) > _MOST_CONTROL * len(text):
        raise DocumentRefused("corrupt", "binary data, not text")
    return text


def _guess(data: bytes) -> str:
    if _fits(data, "utf-8"):
        return "utf-8"
    runs = _HIGH_RUN.findall(data)
    in_runs = sum(len(run) for run in runs if len(run) > 1)
    if in_runs >= _CHINESE_SHARE * sum(map(len, runs)) and _fits(data, "gb18030"):
        return "gb18030"
    # Windows-1252 has the curly quotes that files called Latin-1 really contain.
    return "cp1252" if _fits(data, "cp1252") else "latin-1"


def _fits(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
