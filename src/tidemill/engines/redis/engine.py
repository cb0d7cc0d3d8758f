"""The engine on one server, or on the primary that Sentinel names: one shard holds everything."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

import msgspec

from tidemill.clock import Clock
from tidemill.engine import (
    ClaimRequest,
    Document,
    Engine,
    EngineInfo,
    Enqueued,
    Extension,
    FeedPage,
    Fired,
    Firing,
    HistoryQuery,
    Hold,
    Mark,
    Marks,
    Promoted,
    Put,
    QueueDefinition,
    Reclaimed,
    Retrial,
    Stats,
    Tally,
    TaskPage,
    TaskQuery,
    Transaction,
)
from tidemill.engines.redis import documents, history, marks, search
from tidemill.engines.redis.address import Address, parse
from tidemill.engines.redis.demands import examine
from tidemill.engines.redis.feed import feed, position
from tidemill.engines.redis.keys import NAMES, channel, root
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.restore import restore
from tidemill.engines.redis.shard import Shard
from tidemill.engines.redis.wake import Wake
from tidemill.errors import EngineRefused, SchemaTooNew
from tidemill.outcome import Settlement
from tidemill.task import Claim, NewTask, State, Task

FORMAT: Final = 1
"""The version of the data layout; a store of a later one is refused."""

INDEX_STEPS: Final = 100
"""Calls that one `promote` spends on the index, so that what is due does not wait for it."""

NO_TX: Final = (
    "Redis has no transactions that application SQL could join: enqueue after your commit, or "
    "write the tasks to an outbox table of your own database and enqueue from there"
)


class RedisEngine:
    """Holds the tasks on a Redis or Valkey server."""

    def __init__(
        self, url: str, *, clock: Clock | None = None, info: EngineInfo | None = None
    ) -> None:
        """Read the URL (`address.py`); nothing is reached before the first verb."""
        address = parse(url)
        self._url = url
        self._clock = clock
        self._info = info or unknown(address)
        self._link = Link(address)
        self._wake = Wake(self._link, channel(address.prefix))
        self._shard = Shard(self._link, root(address.prefix), channel(address.prefix), clock)

    @property
    def info(self) -> EngineInfo:
        return self._info

    def session(self) -> Engine:
        return RedisEngine(self._url, clock=self._clock, info=self._info)

    async def close(self) -> None:
        await self._wake.close()
        await self._link.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise EngineRefused(NO_TX)

    async def migrate(self) -> None:
        self._info = await admitted(self._link, self._shard, self._info)

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        refuse_tx(tx)
        return await self._shard.enqueue(tasks) if tasks else []

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        taken = await self._shard.claim(request)
        self._wake.expect(request.queues, taken.next_in)
        return taken.claims

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return await self._shard.extend(extensions, lease) if extensions else []

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        refuse_tx(tx)
        return await self._shard.settle(settlements) if settlements else []

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        await self._wake.wait(queues, timeout)

    async def promote(self, limit: int) -> Promoted:
        promoted = await self._shard.promote(limit)
        await search.catch_up(self._shard, INDEX_STEPS)
        return promoted

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        return await self._shard.reclaim(limit)

    async def prune(self, limit: int) -> int:
        return await self._shard.prune(limit)

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return await self._shard.cancel(ids, reason) if ids else []

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return await self._shard.retry(ids) if ids else []

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return await self._shard.remove(ids) if ids else []

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._shard.pause(queue, paused=paused)

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        await self._shard.configure(queues)

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return await marks.fire(self._shard, firings) if firings else []

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        return await restore(self._shard, tasks, marks, tallies)

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return await documents.get(self._shard, kind, keys)

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        return await documents.put(self._shard, puts) if puts else []

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return await documents.documents(self._shard, kind, prefix)

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        return await marks.marks(self._shard, schedules, fires)

    async def history(self, query: HistoryQuery) -> list[Tally]:
        return await history.history(self._shard, query)

    async def find(self, query: TaskQuery) -> TaskPage:
        return search.page(await search.find(self._shard, query), query.limit)

    async def reindex(self, told: Callable[[int], None]) -> int:
        """Make what people search by again; tells and answers how many tasks it has."""
        await forget_index(self._link, self._shard)
        return await search.reindex(self._shard, told)

    async def unindexed(self) -> int:
        """Transitions that are not in the index yet; never 0 while all tasks are indexed again."""
        return await search.behind(self._shard)

    async def stats(self) -> Stats:
        return await self._shard.stats()

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        page = await feed(self._shard, after, limit)
        if page.entries or page.cut or wait <= timedelta(0):
            return page
        number, _ = position(page.cursor)
        await self._link.block(self._shard.root + NAMES["feed"], f"{number}-0", wait)
        return await feed(self._shard, page.cursor, limit)


async def forget_index(link: Link, shard: Shard) -> None:
    """Remove the index of a shard, and where it stood."""
    escaped = "".join(f"\\{each}" if each in "[]*?\\" else each for each in shard.root)
    async for keys in link.scan(f"{escaped}{NAMES['index']}*"):
        for key in keys:
            await link.command("UNLINK", key, key=shard.root)
    await link.command("DEL", shard.root + NAMES["indexed"], key=shard.root)


def unknown(address: Address, **promises: str) -> EngineInfo:
    """What is known of an engine before its servers were asked."""
    info = EngineInfo(
        name="redis", location=address.location, durability="standard", ordered="lane"
    )
    return msgspec.structs.replace(info, **promises)


async def admitted(link: Link, shard: Shard, info: EngineInfo) -> EngineInfo:
    """What the servers are; refuses those, and a store, that this version cannot use."""
    standing = await examine(link, link.address)
    found = await shard.migrate(FORMAT)
    if found > FORMAT:
        raise SchemaTooNew(found, FORMAT)
    if found < FORMAT:
        raise EngineRefused(
            f"the keys under {link.address.prefix!r} are of format {found}, this Tidemill writes "
            f"format {FORMAT}: drain them with the version that wrote them, or choose another "
            "prefix"
        )
    return msgspec.structs.replace(
        info,
        name=standing.kind,
        durability=standing.durability,
        versions=standing.versions | {"format": str(FORMAT)},
        warnings=standing.warnings,
    )


def refuse_tx(tx: object | None) -> None:
    """Raise for a transaction, which no store of this kind could join."""
    if tx is not None:
        raise EngineRefused(NO_TX)
