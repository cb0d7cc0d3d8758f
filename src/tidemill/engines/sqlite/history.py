"""What ended when: one tally for each stretch of time, queue and task type (rule 17)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Final

import apsw
import msgspec

from tidemill.clock import from_micros, micros, to_micros
from tidemill.engine import HistoryQuery, Resolution, Tally
from tidemill.engines.sqlite.ends import Ended, histogram
from tidemill.engines.sqlite.statements import as_json, run, statement

TRIMMED_AT_ONCE: Final = 1_000
"""Tallies of one resolution that one call of prune drops: those of 50 minutes of 20 types."""

_LENGTHS = {resolution: micros(resolution.length) for resolution in Resolution}

_Place = tuple[str, int, str, str]
"""(resolution, at, queue, task type): the key of a tally."""


class _Kept(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A `Tally` as it is written and added to."""

    resolution: Resolution
    at: datetime
    queue: str
    task_type: str
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    reclaimed: int = 0
    ran: int = 0
    waited: int = 0
    runs: dict[int, int] = {}
    waits: dict[int, int] = {}

    @property
    def place(self) -> _Place:
        return (self.resolution.value, to_micros(self.at), self.queue, self.task_type)


_encode = msgspec.msgpack.Encoder().encode
_decode_kept = msgspec.msgpack.Decoder(_Kept).decode
_decode_tally = msgspec.msgpack.Decoder(Tally).decode
_texts = msgspec.json.Decoder(list[str]).decode
_numbers = msgspec.json.Decoder(list[int]).decode


class Tallies:
    """The tallies that are added to now, remembered between transactions like the ledger."""

    def __init__(self) -> None:
        self._kept: dict[_Place, _Kept] = {}
        self._minute = 0

    def forget(self) -> None:
        """Trust nothing: somebody else wrote, or the transaction was rolled back."""
        self._kept.clear()

    def add(self, on: apsw.Connection, now: int, ended: Mapping[tuple[str, str], Ended]) -> None:
        """Count what a step ended, by (queue, task type)."""
        if now // _LENGTHS[Resolution.MINUTE] != self._minute:
            self._minute = now // _LENGTHS[Resolution.MINUTE]
            self.forget()
        starts = [(resolution.value, now - now % size) for resolution, size in _LENGTHS.items()]
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
                _add(kept.runs, runs)
                _add(kept.waits, waits)
                changed.append((*start, *pair, _encode(kept)))
        run(on, "tally_put", changed)

    def _read(self, on: apsw.Connection, places: Sequence[_Place]) -> None:
        unread = [place for place in places if place not in self._kept]
        for text in run(on, "tallies_at", unread):
            found = (_decode_kept(bytes.fromhex(digits)) for digits in _texts(text))
            self._kept |= {kept.place: kept for kept in found}
        for place in unread:
            if place not in self._kept:
                resolution, at, queue, task_type = place
                self._kept[place] = _Kept(
                    resolution=Resolution(resolution),
                    at=from_micros(at),
                    queue=queue,
                    task_type=task_type,
                )


def _add(counts: dict[int, int], more: Mapping[int, int]) -> None:
    for of_slot, count in more.items():
        counts[of_slot] = counts.get(of_slot, 0) + count


def take_in(on: apsw.Connection, tallies: Iterable[Tally]) -> None:
    """Keep tallies of which there is none yet."""
    kept = [_Kept(**msgspec.structs.asdict(tally)) for tally in tallies]
    run(on, "tally_add", [(*each.place, _encode(each)) for each in kept])


def trim(on: apsw.Connection, now: int) -> None:
    """Drop some of what is older than its resolution is kept."""
    for resolution in Resolution:
        if resolution.kept is not None:
            over = now - micros(resolution.kept)
            on.execute(statement("tally_trim"), (resolution.value, over, TRIMMED_AT_ONCE))


def history(on: apsw.Connection, query: HistoryQuery) -> list[Tally]:
    """The tallies that a query asks for, in the order of their key.

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
    return [_decode_tally(bodies[start:end]) for start, end in pairwise(ends)]
