"""What ended in each stretch over all queues and task types, added up when the stretch is over.

A chart of 1,441 minutes reads 1,441 totals instead of 28,820 tallies of 20 pairs. A stretch without
a total, such as the one that is still open, is added up when it is read.
"""

from collections.abc import Collection, Iterable
from typing import Final

import apsw
import msgspec

from tidemill.clock import to_micros
from tidemill.engine import HistoryQuery, Tally
from tidemill.engines.sqlite.kept import (
    Kept,
    Stretch,
    decode_kept,
    decode_tally,
    encode,
    totals,
)
from tidemill.engines.sqlite.statements import one, run, statement

_ALWAYS: Final = 1 << 62
_texts = msgspec.json.Decoder(list[str]).decode
_starts = msgspec.json.Decoder(list[int]).decode


def close(on: apsw.Connection, resolution: str, before: int) -> None:
    """Add up the stretches that ended since the last total; those from `before` on are open."""
    on.execute(statement("total_drop"), (resolution, before))
    since = (one(on, "last_total", (resolution,)) or -_ALWAYS) + 1
    starts = _starts(one(on, "stretches", (resolution, since, before)))
    renew(on, [(resolution, at) for at in starts])


def renew(on: apsw.Connection, stretches: Collection[Stretch]) -> None:
    """Add up stretches anew."""
    found = (
        decode_kept(bytes.fromhex(digits))
        for text in run(on, "tallies_of", list(stretches))
        for digits in _texts(text)
    )
    _write(on, totals(found).values())


def _write(on: apsw.Connection, wholes: Iterable[Kept]) -> None:
    run(on, "total_put", [(*whole.place[:2], encode(whole)) for whole in wholes])


def together(on: apsw.Connection, query: HistoryQuery) -> list[Tally]:
    """One tally for each stretch of a query that names no queues and task types, oldest first."""
    span = (query.resolution.value, to_micros(query.since), to_micros(query.until))
    closed = [decode_tally(bytes.fromhex(digits)) for digits in _texts(one(on, "totals", span))]
    open_ = [decode_tally(bytes.fromhex(digits)) for digits in _texts(one(on, "untotalled", span))]
    return sorted([*closed, *summed(open_)], key=lambda tally: tally.at)


def summed(parts: Iterable[Tally]) -> list[Tally]:
    """One tally for each stretch, in the order in which the stretches come."""
    return [decode_tally(encode(whole)) for whole in totals(parts).values()]
