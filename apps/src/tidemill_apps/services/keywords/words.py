"""The words of a text, as both a passage and a question have them."""

import re
from itertools import pairwise
from typing import Final

LONGEST_WORD: Final = 64
"""Longer runs of letters are encoded files; a word is cut here."""

_CHINESE: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # and the Japanese syllables
_RUN: Final = re.compile(rf"(?P<chinese>[{_CHINESE}]+)|(?:(?![{_CHINESE}])[^\W_])+")
_INSIDE_NAME: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(text: str) -> list[str]:
    """Return the words of `text`: lower case, plurals cut; pairs of neighbours in Chinese.

    A Chinese character by itself is a word only where it stands alone; `camelCase` is two words.
    A word has letters and digits only.
    """
    found: list[str] = []
    for match in _RUN.finditer(_INSIDE_NAME.sub(" ", text).lower()):
        run = match[0]
        if match["chinese"] is None:
            found.append(_singular(run)[:LONGEST_WORD])
        elif len(run) == 1:
            found.append(run)
        else:
            found += [first + second for first, second in pairwise(run)]
    return found


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "sui" else word


GRAMMAR: Final = frozenset(
    words(
        "a about after all am an and any are as at be been before but by can could did do does for"
        " from had has have how i if in into is it its me my no not of on or our out she he so"
        " some than that the their them then there these they this those to up us was we were what"
        " when where which who whom whose why will with would you your"
        " 什么 怎么 怎样 如何 哪些 哪个 哪里 为什 是否 可以 我们 你们 他们 这个 那个 的时 时候"
    )
)
"""Words that hold sentences together, in English and Chinese."""
