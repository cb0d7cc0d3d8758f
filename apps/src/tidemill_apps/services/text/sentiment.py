"""How somebody feels about what they write."""

import functools
import re
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Final

from tidemill_apps.services.text import chinese_feelings
from tidemill_apps.services.text.language import language_of
from tidemill_apps.services.text.values import Sentiment

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

_THRESHOLD: Final = 0.15
_STRONGER: Final = 1.5


def sentiment_score(sentences: Sequence[str]) -> float:
    """Within -1..1: the mean over the sentences that show a feeling, 0 where none does.

    English by VADER (Hutto and Gilbert, 2014), Chinese by a lexicon of our own with negations.
    """
    scores = [_chinese(each) if language_of(each) == "zh" else _english(each) for each in sentences]
    felt = [score for score in scores if score]
    return round(fmean(felt), 3) if felt else 0.0


def sentiment_of(score: float) -> Sentiment:
    """The word for a score: neutral within 0.15 of 0."""
    if abs(score) < _THRESHOLD:
        return "neutral"
    return "positive" if score > 0 else "negative"


def _english(sentence: str) -> float:
    compound: float = _vader().polarity_scores(sentence)["compound"]
    return compound


@functools.cache
def _vader() -> "SentimentIntensityAnalyzer":
    from vaderSentiment.vaderSentiment import (  # noqa: PLC0415  reads its lexicon, for English only
        SentimentIntensityAnalyzer,
    )

    return SentimentIntensityAnalyzer()


def _chinese(sentence: str) -> float:
    """Each word of feeling is 1 or -1, stronger or turned around by what stands before it."""
    felt = 0.0
    for match in _FEELING.finditer(sentence):
        strength = 1.0 if match["warm"] else -1.0
        if match["very"]:
            strength *= _STRONGER
        felt += -strength if match["negated"] else strength
    return max(-1.0, min(1.0, felt / 2))


def _any(words: Sequence[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_FEELING: Final = re.compile(
    rf"(?P<negated>(?:{_any(chinese_feelings.NOT)})(?:有|会|能|让我|令人|感到|出现|造成|发生|任何|了|一次)*)?"
    rf"(?P<very>{_any(chinese_feelings.VERY)})?"
    rf"(?:(?P<warm>{_any(chinese_feelings.WARM)})|(?P<cold>{_any(chinese_feelings.COLD)}))"
)
