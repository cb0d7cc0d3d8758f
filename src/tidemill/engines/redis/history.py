"""What ended when: tallies are read in parts, so that no call keeps the server for long."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

import msgspec

from tidemill.clock import from_micros, to_micros
from tidemill.engine import COUNTED, HistoryQuery, Resolution, Tally
from tidemill.engines.redis.arguments import Blobs
from tidemill.engines.redis.records import pack
from tidemill.engines.redis.scripts import script
from tidemill.engines.redis.shard import Shard

TALLIES_AT_ONCE: Final = 2_000
"""Tallies that one call reads: a millisecond or two of the server's time."""


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tally as `tallies.lua` describes it."""

    completed: int
    failed: int
    cancelled: int
    retried: int
    reclaimed: int
    ran: int
    waited: int
    runs: dict[int, int]
    waits: dict[int, int]


_stretches: Final = msgspec.msgpack.Decoder(list[tuple[int, dict[str, _Row]]]).decode


async def history(shard: Shard, query: HistoryQuery) -> list[Tally]:
    """The tallies of one shard that a query asks for, in order."""
    filtered = bool(query.queues or query.task_types)
    if query.together and filtered:
        return together(await history(shard, msgspec.structs.replace(query, together=False)))
    after = str(to_micros(query.since))
    found: list[Tally] = []
    while after:
        arguments = (
            query.resolution.value,
            after,
            f"({to_micros(query.until)}",
            TALLIES_AT_ONCE,
            tuple(query.queues) or False,
            tuple(query.task_types) or False,
            query.together,
        )
        last, packed = await shard.call(script("history"), arguments)
        after = last.decode()
        for begun, rows in _stretches(packed):
            found += _tallies(query.resolution, begun, rows)
    return found


def together(tallies: Iterable[Tally]) -> list[Tally]:
    """One tally for each stretch, over all of its tallies; in order, as they are."""
    return [_sum(list(part)) for _, part in groupby(tallies, key=lambda tally: tally.at)]


def _sum(tallies: Sequence[Tally]) -> Tally:
    first = tallies[0]
    if len(tallies) == 1:
        return msgspec.structs.replace(first, queue="", task_type="")
    counts = {name: sum(getattr(each, name) for each in tallies) for name in COUNTED}
    runs: Counter[int] = Counter()
    waits: Counter[int] = Counter()
    for each in tallies:
        runs.update(each.runs)
        waits.update(each.waits)
    return Tally(
        resolution=first.resolution,
        at=first.at,
        queue="",
        task_type="",
        runs=dict(runs),
        waits=dict(waits),
        **counts,
    )


def stored(tally: Tally, blobs: Blobs) -> tuple[object, ...]:
    """A tally as `restore.lua` takes it."""
    row = _Row(
        tally.completed,
        tally.failed,
        tally.cancelled,
        tally.retried,
        tally.reclaimed,
        tally.ran,
        tally.waited,
        tally.runs,
        tally.waits,
    )
    return (
        tally.resolution.value,
        str(to_micros(tally.at)),
        f"{tally.queue}/{tally.task_type}",
        blobs.add(pack(row)),
    )


def place_of(tally: Tally) -> tuple[object, ...]:
    """Where a tally stands among others of its resolution."""
    return tally.at, tally.queue, tally.task_type


def _tallies(resolution: Resolution, begun: int, rows: dict[str, _Row]) -> Iterator[Tally]:
    at = from_micros(begun)
    for (queue, task_type), row in sorted((_pair(field), row) for field, row in rows.items()):
        yield Tally(
            resolution=resolution,
            at=at,
            queue=queue,
            task_type=task_type,
            completed=row.completed,
            failed=row.failed,
            cancelled=row.cancelled,
            retried=row.retried,
            reclaimed=row.reclaimed,
            ran=row.ran,
            waited=row.waited,
            runs=row.runs,
            waits=row.waits,
        )


@lru_cache(10_000)
def _pair(field: str) -> tuple[str, str]:
    """A queue and a task type."""
    queue, _, task_type = field.partition("/")
    return queue, task_type
