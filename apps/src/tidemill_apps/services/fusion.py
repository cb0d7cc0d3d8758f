"""Several rankings of the same things to one."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

_RANK_OFFSET: Final = 60
"""Of reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): damps the first ranks."""


class Fused(msgspec.Struct, frozen=True):
    """A thing that was ranked; `ranks` has one for each ranking, from 1, `None` where it is not.

    `score` is relative: it orders the things of one call.
    """

    id: str
    score: float
    ranks: tuple[int | None, ...]


def fuse(*rankings: Sequence[str]) -> list[Fused]:
    """Merge rankings of ids, each best first, by reciprocal ranks; best first.

    The rankings' own scores need no common scale. An id that a ranking repeats has the rank of its
    first place there, and takes no second one. Of equal scores, the earlier ranking's comes first.
    """
    placed = [{each: rank for rank, each in enumerate(dict.fromkeys(ids), 1)} for ids in rankings]
    scores: defaultdict[str, float] = defaultdict(float)
    for ranks in placed:
        for each, rank in ranks.items():
            scores[each] += 1 / (_RANK_OFFSET + rank)
    best = sorted(scores, key=lambda each: -scores[each])
    return [Fused(each, scores[each], tuple(ranks.get(each) for ranks in placed)) for each in best]
