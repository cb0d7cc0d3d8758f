"""The feeds of several shards as one: merged by time, with a cursor that holds one for each."""

import asyncio
import heapq
from collections.abc import Mapping
from datetime import timedelta

from tidemill.engine import FeedPage
from tidemill.engines.redis.keys import NAMES
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.shard import FEED_BEGIN, FEED_END, Shard


class Journal:
    """Reads the feeds of some queues' shards.

    A cursor is `queue=position,…`; a queue that it does not name is read from its beginning, for it
    was made later. Within a queue the order is that of the transitions, between queues that of
    their instants.
    """

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        self._shards = shards

    async def read(self, after: str | None, limit: int) -> FeedPage:
        """One page of all feeds."""
        start = FEED_END if after is None else FEED_BEGIN
        at = dict.fromkeys(self._shards, start) | _positions(after or "")
        names = list(self._shards)
        pages = dict(
            zip(
                names,
                await asyncio.gather(*(self._shards[name].feed(at[name], limit) for name in names)),
                strict=True,
            )
        )
        merged = heapq.merge(
            *(((entry.at, entry) for entry in page.entries) for page in pages.values()),
            key=lambda pair: pair[0],
        )
        entries = tuple(entry for _, entry in merged)[:limit]
        left = {name: len(page.entries) for name, page in pages.items()}
        for entry in entries:
            left[entry.queue] -= 1
        cursor = ",".join(f"{name}={int(page.cursor) - left[name]}" for name, page in pages.items())
        return FeedPage(entries, cursor, cut=any(page.cut for page in pages.values()))

    async def wait(self, link: Link, cursor: str, timeout: timedelta) -> None:
        """Return when one of the feeds goes on after a cursor, or at the timeout."""
        at = _positions(cursor)
        blocked = [
            asyncio.create_task(
                link.block(shard.root + NAMES["feed"], f"{at.get(name, 0)}-0", timeout)
            )
            for name, shard in self._shards.items()
        ]
        if not blocked:
            await asyncio.sleep(timeout.total_seconds())
            return
        try:
            done, _ = await asyncio.wait(blocked, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in blocked:
                each.cancel()
            await asyncio.gather(*blocked, return_exceptions=True)


def _positions(cursor: str) -> dict[str, int]:
    pairs = (each.split("=") for each in cursor.split(",") if each)
    return {name: int(position) for name, position in pairs}
