"""The sentences of a text that say most of it.

Each sentence is scored by how near it is to the middle of all sentences and how early it stands;
then they are taken one by one, less for what an earlier one said already (Carbonell and Goldstein,
1998: maximal marginal relevance).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from tidemill_apps.services.embedder import Embedder, Matrix
from tidemill_apps.services.text.courtesy import is_boilerplate, is_courtesy

_POSITION: Final = 0.15
_NOVELTY: Final = 0.35
_SHORTEST: Final = 12
"""Columns of a sentence that can say something."""


def extract(sentences: Sequence[str], count: int, embedder: Embedder) -> tuple[str, ...]:
    """The `count` best sentences, in the order in which they stand; the same for the same text.

    Greetings, closings and boilerplate are left out, unless there is nothing else.
    """
    said = tuple(dict.fromkeys(each for each in sentences if _says_something(each)))
    said = said or tuple(dict.fromkeys(sentences))
    if len(said) <= count:
        return said
    rows = embedder.embed([" ".join(each.split()) for each in said])
    return tuple(said[place] for place in sorted(_chosen(rows, count)))


def _chosen(rows: Matrix, count: int) -> list[int]:
    middle = rows.mean(axis=0)
    nearness = rows @ (middle / max(float(np.linalg.norm(middle)), 1e-9))
    worth = nearness + _POSITION * (1 - np.arange(len(rows)) / len(rows))
    repeats = np.zeros(len(rows), np.float32)
    chosen: list[int] = []
    for _ in range(count):
        scores = (1 - _NOVELTY) * worth - _NOVELTY * repeats
        scores[chosen] = -np.inf
        chosen.append(int(np.argmax(scores)))
        repeats = np.maximum(repeats, rows @ rows[chosen[-1]])
    return chosen


def _says_something(sentence: str) -> bool:
    width = sum(2 if character >= "\u2e80" else 1 for character in sentence)
    return width >= _SHORTEST and not is_courtesy(sentence) and not is_boilerplate(sentence)
