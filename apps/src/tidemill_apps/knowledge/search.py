"""Questions to passages: by meaning and by words, merged."""

from typing import Final

import msgspec

from tidemill_apps.knowledge.documents import Library
from tidemill_apps.services.fusion import fuse

_CANDIDATES: Final = 50


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
    and numbers.
    """
    best = fuse(
        [found.id for found in library.near(question, _CANDIDATES)],
        [found.id for found in library.keyed(question, _CANDIDATES)],
    )[:k]
    segments = library.segments(fused.id for fused in best)
    return [
        Passage(
            document=segments[fused.id][1],
            title=segments[fused.id][2],
            ordinal=segments[fused.id][0].ordinal,
            text=segments[fused.id][0].text,
            score=fused.score,
            vector_rank=fused.ranks[0],
            keyword_rank=fused.ranks[1],
        )
        for fused in best
        if fused.id in segments
    ]
