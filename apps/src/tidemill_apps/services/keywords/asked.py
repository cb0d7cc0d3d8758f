"""What a question asks an index for: its words, and how much each of them tells."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from tidemill_apps.services.keywords.words import GRAMMAR

_COMMON_SHARE: Final = 0.1
_FEW: Final = 1000
"""So many passages are read in a few milliseconds: in small collections no word is common."""
MOST_WORDS: Final = 32
"""Of a pasted page, so many of the rarest words tell what it is about."""


def rarities(spread: Mapping[str, int], total: int) -> Iterator[dict[str, float]]:
    """Yield words with the weight of each (BM25): the telling ones first, then all of them.

    `spread` is in how many of the `total` passages a word stands. A word that stands in more than
    a tenth of a large collection weighs little and costs most of the time, so that it is only
    asked for when the others have found too little. In a small one that cannot be told: "the" may
    be as rare as a name there, so that the words of grammar are left out unless there are no
    others. Nothing is yielded twice.
    """
    if total <= _FEW:
        spread = {word: n for word, n in spread.items() if word not in GRAMMAR} or spread
    rarest = sorted(spread, key=lambda word: (spread[word], word))[:MOST_WORDS]
    limit = max(_FEW, total * _COMMON_SHARE)
    telling = [word for word in rarest if spread[word] <= limit]
    for chosen in (telling, rarest):
        if chosen and (chosen is telling or len(telling) < len(rarest)):
            yield {word: _rarity(spread[word], total) for word in chosen}


def _rarity(n: int, total: int) -> float:
    return math.log(1 + (total - n + 0.5) / (n + 0.5))
