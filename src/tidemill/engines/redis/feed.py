"""The feed of one shard, read from a cursor on."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from tidemill.clock import from_micros
from tidemill.engine import FeedPage, Transition
from tidemill.engines.redis.records import progress_from
from tidemill.engines.redis.scripts import script
from tidemill.engines.redis.shard import Shard
from tidemill.task import State

FEED_END: Final = -1
FEED_BEGIN: Final = -2

HEAD: Final = 7
"""What a group of transitions in the feed begins with; ids follow (`feed.lua`)."""

_told: Final = msgspec.msgpack.Decoder(list[list[str | int | bool]]).decode


async def feed(shard: Shard, after: str | None, limit: int) -> FeedPage:
    """Transitions after a cursor: `number:instant`, how many were told before, and when."""
    number, told_before = position(after)
    first, told, told_at, lost, batches = await shard.call(
        script("feed", writes=False), [number, told_before, limit]
    )
    if after is None:
        return FeedPage(entries=(), cursor=f"{told}:{told_at}")
    begun = number if number >= 0 and not lost else first
    entries: list[Transition] = []
    for end, count, at, raw in batches:
        skipped = max(0, begun - (end - count))
        told_here = list(islice(_transitions(at, raw), skipped, skipped + limit - len(entries)))
        entries += told_here
        begun, told_before = end - count + skipped + len(told_here), at
    return FeedPage(tuple(entries), f"{begun}:{told_before}", cut=lost == 1)


def position(cursor: str | None) -> tuple[int, int]:
    """The number and the instant of a cursor; None is the end, the empty text the beginning."""
    if not cursor:
        return (FEED_END if cursor is None else FEED_BEGIN), 0
    number, _, at = cursor.partition(":")
    return int(number), int(at)


def _transitions(at: int, raw: bytes) -> Iterator[Transition]:
    for group in _told(raw):
        cause, task_type, queue, state, attempt, progress, _ = group[:HEAD]
        for task_id in group[HEAD:]:
            yield Transition(
                at=from_micros(at),
                cause=str(cause),
                task_id=str(task_id),
                task_type=str(task_type),
                queue=str(queue),
                state=State(str(state)),
                attempt=int(attempt),
                progress=progress_from(progress) if isinstance(progress, str) else None,
            )
