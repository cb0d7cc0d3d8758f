"""The words and phrases that a text keeps coming back to."""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import rjieba

from tidemill_apps.services.text.language import language_of

_COUNT: Final = 8
_LONGEST_PHRASE: Final = 3
_NAMING: Final = ("n", "vn", "eng", "j", "i", "l")
"""Tags of Chinese words that name things: nouns, names, foreign words, idioms."""

_PLAIN: Final = frozenset(
    """
    a about above after again against all also am an and any are as at be because been before being
    below between both but by can cannot could did do does doing don down during each few for from
    further get got had has have having he her here hers him his how i if in into is it its itself
    just know let like ll make many may me might more most much must my new no nor not now of off ok
    on once one only or other our out over own please re regards said same say see send sent shall
    she should since so some such take than thank thanks that the their them then there these they
    this those through to today tomorrow too two under until up upon us use ve very want was way we
    well were what when where which while who whom why will with within would yes yet you your
    yours dear hi hello best kind sincerely monday tuesday wednesday thursday friday saturday sunday
    http https www com org net
    """.split()
)
_PLAIN_CHINESE: Final = frozenset(
    """
    大家 各位 同事 老师 时候 时间 今天 明天 昨天 周五 情况 方面 问题 事情 东西 先生 女士 附件 邮件
    """.split()
)
_WORD: Final = re.compile(r"[^\W\d_][\w'+.-]*[\w+]|[^\W\d_]|\S")


def keywords(subject: str, text: str) -> tuple[str, ...]:
    """At most 8 words or short phrases, the weightiest first; those of the subject weigh twice."""
    weights: defaultdict[str, float] = defaultdict(float)
    for source, weight in ((subject, 2.0), (text, 1.0)):
        candidates = _chinese(source) if language_of(source) == "zh" else _english(source)
        for phrase, size in candidates:
            weights[phrase] += weight * size
    kept: list[str] = []
    for phrase in sorted(weights, key=weights.__getitem__, reverse=True):
        if not any(phrase in other or other in phrase for other in kept):
            kept.append(phrase)
    return tuple(kept[:_COUNT])


def _english(text: str) -> Iterator[tuple[str, float]]:
    """Runs of words that are not plain ones (Rose et al., 2010: RAKE), cut at three words."""
    found = (match[0].lower() for match in _WORD.finditer(text))
    for telling, run in groupby(found, _telling):
        if telling:
            words = tuple(run)[:_LONGEST_PHRASE]
            yield " ".join(words), 1 + len(words) / 2


def _telling(word: str) -> bool:
    return len(word) > 1 and word[0].isalpha() and word.partition("'")[0] not in _PLAIN


def _chinese(text: str) -> Iterator[tuple[str, float]]:
    for word, tag in rjieba.tag(text):
        if len(word) > 1 and tag.startswith(_NAMING) and word not in _PLAIN_CHINESE:
            yield word.lower(), 1 + len(word) / 4
