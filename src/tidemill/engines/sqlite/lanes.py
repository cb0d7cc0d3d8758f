"""The first pending tasks of queues, in claim order, without a look at types nobody asked for.

The index of pending tasks is ordered by queue, alone and type before claim order. Each type is a
lane that is read for as far as its tasks can be among the first; merging the lanes gives the
order of the queue. A million tasks of an unknown type in front cost nothing that way.
"""

from collections.abc import Sequence
from heapq import merge
from itertools import islice

import apsw
import msgspec

from tidemill.engines.sqlite.statements import run

Place = tuple[int, int, str, int, int | None]
"""(-priority, due, key, seq, expires_at) of a pending task; sorts in claim order."""

_lanes = msgspec.json.Decoder(list[tuple[int, list[Place]]]).decode
_FIRST_LOOK = 8


class Want(msgspec.Struct, frozen=True):
    """Asks for the first `most` tasks of a queue, of these types."""

    queue: int
    alone: int
    types: tuple[int, ...]
    most: int


class _Lane(msgspec.Struct):
    want: int
    type: int
    asked: int
    places: list[Place] = []


def first(on: apsw.Connection, wants: Sequence[Want]) -> list[list[Place]]:
    """The first tasks of each want, in claim order."""
    lanes = [
        _Lane(n, kind, _share(want.most, len(want.types)))
        for n, want in enumerate(wants)
        for kind in want.types
    ]
    found: list[list[Place]] = [[] for _ in wants]
    unread = lanes
    while unread:
        _read(on, wants, unread)
        for n, want in enumerate(wants):
            sources = [lane.places for lane in lanes if lane.want == n]
            found[n] = sources[0] if len(sources) == 1 else list(islice(merge(*sources), want.most))
        unread = [lane for lane in lanes if _short(lane, wants[lane.want].most, found[lane.want])]
        for lane in unread:
            lane.asked = min(wants[lane.want].most, 4 * lane.asked)
    return found


def _share(most: int, lanes: int) -> int:
    return most if lanes == 1 else min(most, max(_FIRST_LOOK, 2 * most // lanes))


def _short(lane: _Lane, most: int, found: list[Place]) -> bool:
    """Whether tasks that this lane did not read yet may belong to what was found."""
    if len(lane.places) < lane.asked or lane.asked >= most:
        return False
    return len(found) < most or lane.places[-1] < found[-1]


def _read(on: apsw.Connection, wants: Sequence[Want], lanes: Sequence[_Lane]) -> None:
    for asked in {lane.asked for lane in lanes}:
        rows = [
            (n, wants[lane.want].queue, wants[lane.want].alone, lane.type)
            for n, lane in enumerate(lanes)
            if lane.asked == asked
        ]
        for text in run(on, "lanes", rows, asked):
            for n, places in _lanes(text):
                lanes[n].places = places
