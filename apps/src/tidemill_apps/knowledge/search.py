"""Questions to passages: by meaning and by words, merged."""

import heapq
from collections import defaultdict
from operator import itemgetter
from typing import Final

import msgspec

from tidemill_apps.knowledge.documents import Library

_CANDIDATES: Final = 50
_RANK_OFFSET: Final = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): damps the first ranks."""


class Passage(msgspec.Struct, frozen=True):
    """A segment that answers a question, and the document it stands in.

    `score` is relative: it orders the passages of one question. `vector_rank` and `keyword_rank`
    count from 1; `None` where that search did not find the passage.
    """

    document: str
    title: str
    ordinal: int
    text: str
    score: float
    vector_rank: int | None
    keyword_rank: int | None


def search(library: Library, question: str, k: int = 3) -> list[Passage]:
    """Return the `k` best passages, best first; none for a dataset without indexed documents.

    The two searches find different things: vectors paraphrases and other languages, words names
    and numbers. Reciprocal rank fusion needs no common scale for their scores.
    """
    by_meaning = _ranks([found.id for found in library.near(question, _CANDIDATES)])
    by_words = _ranks([keyed.segment_id for keyed in library.keyed(question, _CANDIDATES)])
    fused: defaultdict[str, float] = defaultdict(float)
    for ranks in (by_meaning, by_words):
        for segment_id, rank in ranks.items():
            fused[segment_id] += 1 / (_RANK_OFFSET + rank)
    best = heapq.nlargest(k, fused.items(), key=itemgetter(1))
    segments = library.segments(segment_id for segment_id, _ in best)
    return [
        Passage(
            document=segments[segment_id][1],
            title=segments[segment_id][2],
            ordinal=segments[segment_id][0].ordinal,
            text=segments[segment_id][0].text,
            score=score,
            vector_rank=by_meaning.get(segment_id),
            keyword_rank=by_words.get(segment_id),
        )
        for segment_id, score in best
        if segment_id in segments
    ]


def _ranks(ids: list[str]) -> dict[str, int]:
    return {segment_id: rank for rank, segment_id in enumerate(ids, start=1)}
