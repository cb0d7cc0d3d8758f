"""The feeds of several shards as one: merged by time, with a cursor that holds one for each."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta

from tidemill.clock import to_micros
from tidemill.engine import FeedPage
from tidemill.engines.redis.feed import feed, position
from tidemill.engines.redis.keys import NAMES
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.shard import Shard


class Journal:
    """Reads the feeds of some queues' shards.

    A cursor is `queue=cursor,…`; a queue that it does not name is read from its beginning, for it
    was made later. Within a queue the order is that of the transitions, between queues that of
    their instants.
    """

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        self._shards = shards

    async def read(self, after: str | None, limit: int) -> FeedPage:
        """One page of all feeds."""
        start = None if after is None else ""
        at: dict[str, str | None] = dict.fromkeys(self._shards, start)
        at |= {name: cursor for name, cursor in _cursors(after or "") if name in self._shards}
        read = (feed(shard, at[name], limit) for name, shard in self._shards.items())
        pages = dict(zip(self._shards, await asyncio.gather(*read), strict=True))
        merged = heapq.merge(*(page.entries for page in pages.values()), key=lambda each: each.at)
        entries = tuple(merged)[:limit]
        taken = Counter(entry.queue for entry in entries)
        cursors = ",".join(
            f"{name}={_after(page, taken[name], at[name])}" for name, page in pages.items()
        )
        return FeedPage(entries, cursors, cut=any(page.cut for page in pages.values()))

    async def wait(self, link: Link, cursor: str, timeout: timedelta) -> None:
        """Return when one of the feeds goes on after a cursor, or at the timeout."""
        at = {name: position(each)[0] for name, each in _cursors(cursor)}
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


def _after(page: FeedPage, taken: int, before: str | None) -> str:
    """The cursor after so many entries of a page."""
    if taken == len(page.entries):
        return page.cursor
    number, _ = position(page.cursor)
    begun = number - len(page.entries)
    if taken:
        return f"{begun + taken}:{to_micros(page.entries[taken - 1].at)}"
    return before or ""


def _cursors(cursor: str) -> Iterator[tuple[str, str]]:
    for each in cursor.split(","):
        if each:
            name, _, own = each.partition("=")
            yield name, own
