"""What ended when: one tally for each stretch of time, queue and task type (rule 17)."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

import apsw
import msgspec

from tidemill.clock import micros, to_micros
from tidemill.engine import HistoryQuery, Resolution, Tally
from tidemill.engines.sqlite import totals
from tidemill.engines.sqlite.ends import Ended, histogram
from tidemill.engines.sqlite.kept import (
    Kept,
    Place,
    Stretch,
    add,
    decode_kept,
    decode_tally,
    empty,
    encode,
)
from tidemill.engines.sqlite.statements import as_json, run, statement

TRIMMED_AT_ONCE: Final = 1_000
"""Tallies of one resolution that one call of prune drops: those of 50 minutes of 20 types."""

_LENGTHS = {resolution: micros(resolution.length) for resolution in Resolution}

_texts = msgspec.json.Decoder(list[str]).decode
_numbers = msgspec.json.Decoder(list[int]).decode


class Tallies:
    """The tallies that are added to now, remembered between transactions like the ledger."""

    def __init__(self) -> None:
        self._kept: dict[Place, Kept] = {}
        self._open: list[Stretch] = []

    def forget(self) -> None:
        """Trust nothing that is in the file: somebody else wrote there."""
        self._kept.clear()

    def roll_back(self) -> None:
        """Trust nothing: what was written last is not in the file."""
        self.forget()
        self._open.clear()

    def add(self, on: apsw.Connection, now: int, ended: Mapping[tuple[str, str], Ended]) -> None:
        """Count what a step ended, by (queue, task type)."""
        starts = [(resolution.value, now - now % size) for resolution, size in _LENGTHS.items()]
        if starts != self._open:
            self._begin(on, starts)
        self._read(on, [(*start, *pair) for start in starts for pair in ended])
        changed = []
        for pair, each in ended.items():
            ran, waited = sum(each.ran), sum(each.waited)
            runs, waits = histogram(each.ran), histogram(each.waited)
            for start in starts:
                kept = self._kept[*start, *pair]
                for what, count in each.counts.items():
                    setattr(kept, what, getattr(kept, what) + count)
                kept.ran += ran
                kept.waited += waited
                add(kept.runs, runs)
                add(kept.waits, waits)
                changed.append((*start, *pair, encode(kept)))
        run(on, "tally_put", changed)

    def _begin(self, on: apsw.Connection, starts: Sequence[Stretch]) -> None:
        """Go on in other stretches: what was counted in those before is complete."""
        self.forget()
        for start in starts:
            if start not in self._open:
                totals.close(on, *start)
        self._open = list(starts)

    def _read(self, on: apsw.Connection, places: Sequence[Place]) -> None:
        unread = [place for place in places if place not in self._kept]
        for text in run(on, "tallies_at", unread):
            found = (decode_kept(bytes.fromhex(digits)) for digits in _texts(text))
            self._kept |= {kept.place: kept for kept in found}
        for place in unread:
            if place not in self._kept:
                self._kept[place] = empty(*place)


def take_in(on: apsw.Connection, now: int, tallies: Iterable[Tally]) -> None:
    """Keep tallies of which there is none yet, also in the totals of stretches that are over."""
    kept = [Kept(**msgspec.structs.asdict(tally)) for tally in tallies]
    run(on, "tally_add", [(*each.place, encode(each)) for each in kept])
    over = {each.place[:2] for each in kept if each.place[1] + _LENGTHS[each.resolution] <= now}
    totals.renew(on, sorted(over))


def trim(on: apsw.Connection, now: int) -> None:
    """Drop some of what is older than its resolution is kept."""
    for resolution in Resolution:
        if resolution.kept is not None:
            over = now - micros(resolution.kept)
            for name in ("total_trim", "tally_trim"):
                on.execute(statement(name), (resolution.value, over, TRIMMED_AT_ONCE))


def history(on: apsw.Connection, query: HistoryQuery) -> list[Tally]:
    """The tallies that a query asks for, in the order of their key."""
    if not query.together:
        return _apart(on, query)
    if query.queues or query.task_types:
        return totals.summed(_apart(on, query))
    return totals.together(on, query)


def _apart(on: apsw.Connection, query: HistoryQuery) -> list[Tally]:
    """The tallies of each queue and task type.

    All bodies come in one step, joined (see `statements`). They are decoded one by one: 30,000 at
    once would keep the interpreter from everybody else for 80 ms.
    """
    bodies, lengths = on.execute(
        statement("history"),
        (
            query.resolution.value,
            to_micros(query.since),
            to_micros(query.until),
            as_json(query.queues) if query.queues else None,
            as_json(query.task_types) if query.task_types else None,
        ),
    ).get
    if bodies is None:
        return []
    ends = accumulate(_numbers(lengths), initial=0)
    return [decode_tally(bodies[start:end]) for start, end in pairwise(ends)]
