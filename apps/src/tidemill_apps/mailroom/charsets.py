"""Bytes of mail as text, whatever they claim to be."""

import codecs
import re
from typing import Final, NamedTuple

# The wider set of each family: mail named gb2312 holds characters that only GB 18030 has, and mail
# named iso-8859-1 holds the curly quotes of Windows.
_WIDER: Final = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
# Codecs of Python that are no charsets of mail: their decoding warns, or ignores `errors`.
_NO_CHARSET: Final = frozenset({"idna", "punycode", "undefined", "unicode-escape"})
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_HIGH_RUN: Final = re.compile(rb"[\x80-\xff]+")
_GB2312_RUN: Final = re.compile(rb"(?:[\xa1-\xa9\xb0-\xf7][\xa1-\xfe])+")
_CHINESE_SHARE: Final = 0.9


class Decoded(NamedTuple):
    """The text, and what was wrong with the bytes or their charset (empty if nothing was)."""

    text: str
    defect: str


def decode(data: bytes, charset: str) -> Decoded:
    r"""Return the text of `data`, which says that it is in `charset` ("" if it does not say).

    Without a charset, with an unknown one, and with bytes beyond ASCII in what claims to be ASCII,
    it is read as UTF-8, GB 2312 or Latin-1, in this order, by what fits. Bytes that do not fit a
    known charset are read as UTF-8 if that fits, else they become U+FFFD. Control characters are
    left out and line ends are `\n`, so that the text can be stored anywhere.
    """
    known = _known(charset)
    if not charset:
        return Decoded(clean(data.decode(_guess(data))), "")
    if known is None:
        name = clean(charset)[:40]
        return Decoded(clean(data.decode(_guess(data))), f"unknown charset {name!r}")
    try:
        return Decoded(clean(data.decode(known)), "")
    except ValueError:
        says_nothing = known == "ascii" or _fits(data, "utf-8")
        fitting = _guess(data) if says_nothing else known
        text = clean(data.decode(fitting, "replace"))
        return Decoded(text, f"bytes that are not {known}")


def clean(text: str) -> str:
    """Return the text without what no database takes: controls, lone surrogates, bare CR."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _known(charset: str) -> str | None:
    """Return the codec that reads a charset, or None."""
    try:
        name = codecs.lookup(charset.strip(" \"'")).name
        bytes(4).decode(name)  # not for codecs between bytes, such as hex
    except (LookupError, ValueError):
        return None
    if name.replace("_", "-").removeprefix("raw-") in _NO_CHARSET:
        return None
    return _WIDER.get(name, name)


def _guess(data: bytes) -> str:
    if _fits(data, "utf-8"):
        return "utf-8"
    high = sum(map(len, _HIGH_RUN.findall(data)))
    chinese = sum(map(len, _GB2312_RUN.findall(data)))
    if chinese >= _CHINESE_SHARE * high and _fits(data, "gb18030"):
        return "gb18030"
    return "latin-1"


def _fits(data: bytes, charset: str) -> bool:
    try:
        data.decode(charset)
    except ValueError:
        return False
    return True
