"""The engine on a cluster: a shard per queue, in a slot of its own.

What one verb does in one queue is one step, as everywhere. What it does in several is one step for
each, in the order of their names; what belongs together across queues is completed by a relay.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from tidemill.clock import Clock
from tidemill.engine import (
    SCHEDULE,
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
from tidemill.engines.redis import history, marks, search
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.engine import (
    INDEX_STEPS,
    NO_TX,
    admitted,
    forget_index,
    refuse_tx,
    unknown,
)
from tidemill.engines.redis.journal import Journal
from tidemill.engines.redis.keys import DIRECTORY, NAMES, channel, root
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.relay import relay
from tidemill.engines.redis.restore import restore
from tidemill.engines.redis.shard import NOT_AFAR, Afar, Glance, Presence, Shard
from tidemill.engines.redis.wake import Wake
from tidemill.errors import EngineRefused
from tidemill.ids import carried_mark, queue_mark
from tidemill.outcome import Settlement, Waiting
from tidemill.rotation import Turn, share
from tidemill.task import Claim, NewTask, State, Task

T = TypeVar("T")
A = TypeVar("A")

REGISTER_EVERY: Final = 5.0
"""Seconds after which a session names a queue again: somebody may have emptied the store."""


NEW_QUEUE_WITHIN: Final = 0.5
"""Seconds after which a reader who waits for the feed looks whether there are more queues."""


_NOT_REMOVED: Final = False


class ClusterEngine:
    """Holds the tasks on a Redis or Valkey cluster."""

    def __init__(
        self, url: str, *, clock: Clock | None = None, info: EngineInfo | None = None
    ) -> None:
        """Read the URL (`address.py`); nothing is reached before the first verb."""
        address = parse(url)
        self._url = url
        self._clock = clock
        self._info = info or unknown(address, atomic="queue")
        self._link = Link(address)
        self._wake = Wake(self._link, channel(address.prefix))
        self._shards: dict[str, Shard] = {}
        self._registered: dict[str, float] = {}
        self._passed: dict[str, int] = {}
        self._rotated = 0

    @property
    def info(self) -> EngineInfo:
        return self._info

    def session(self) -> Engine:
        return ClusterEngine(self._url, clock=self._clock, info=self._info)

    async def close(self) -> None:
        await self._wake.close()
        await self._link.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise EngineRefused(NO_TX)

    async def migrate(self) -> None:
        self._info = await admitted(self._link, self._shard(DIRECTORY), self._info)

    # produce

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        refuse_tx(tx)
        await self._register(task.queue for task in tasks)
        return await self._by_queue(
            tasks, lambda task: task.queue, lambda shard, part: shard.enqueue(part)
        )

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        if not firings:
            return []
        await self._register(firing.task.queue for firing in firings if firing.task)
        schedules = tuple(dict.fromkeys(firing.schedule for firing in firings))
        defined, looked = await asyncio.gather(
            self._shard(DIRECTORY).get(SCHEDULE, schedules), self._look(schedules)
        )
        places = marks.Places(defined, looked)
        refused = [places.refused(firing) for firing in firings]
        queues = places.queues(firings, otherwise=DIRECTORY)
        left = [
            (queue, msgspec.structs.replace(firing, version=None))
            for firing, queue, answer in zip(firings, queues, refused, strict=True)
            if answer is None
        ]

        async def fire(shard: Shard, part: Sequence[tuple[str, Firing]]) -> list[Fired]:
            return await marks.fire(shard, [firing for _, firing in part])

        answers = iter(await self._by_queue(left, lambda each: each[0], fire))
        return [next(answers) if answer is None else answer for answer in refused]

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        await self._register([each.queue for each in tasks] + [each.queue for each in tallies])

        async def take_in(shard: Shard, part: Sequence[Tally]) -> list[None]:
            await restore(shard, (), tallies=part)
            return [None for _ in part]

        answers = await self._by_queue(tasks, lambda task: task.queue, restore)
        await self._by_queue(tallies, lambda tally: tally.queue, take_in)
        if marks:
            known = await self.marks([mark.schedule for mark in marks])
            pairs = zip(marks, known.marks, strict=True)
            new = [mark for mark, there in pairs if there == Mark(mark.schedule)]
            await restore(self._shard(DIRECTORY), (), new)
        return answers

    # consume

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        names = await self._queues() if request.queues is None else sorted(request.queues)
        places = [*names, DIRECTORY]
        seen = await asyncio.gather(*(self._shard(each).glance(request) for each in places))
        glances = dict(zip(places, seen, strict=True))
        known = [name for name, glance in glances.items() if glance.known]
        if known:
            return await self._claim(request, dict.fromkeys(known, 0))
        while turns := self._turns(request, glances):
            if claims := await self._claim(request, turns):
                return claims
            # Others were faster, or all of it had expired or was of unknown types.
            glances = {name: each for name, each in glances.items() if name not in turns}
        # A claim id is remembered also when it takes nothing.
        return await self._claim(request, {DIRECTORY: 0})

    def _turns(self, request: ClaimRequest, glances: dict[str, Glance]) -> dict[str, int]:
        """How many tasks each queue gives; every session rotates by itself."""
        turns = {
            name: Turn(
                self._passed.get(name, 0),
                glance.weight,
                min(request.limit, glance.beside) + min(request.alone, glance.alone),
            )
            for name, glance in glances.items()
            if not glance.paused
        }
        shares = share(turns, self._rotated, request.limit)
        self._passed |= shares.passed
        self._rotated = shares.now
        return shares.take

    async def _claim(self, request: ClaimRequest, take: dict[str, int]) -> list[Claim]:
        claims: list[Claim] = []
        alone = request.alone
        for name, limit in take.items():
            shard = self._shard(name)
            part = msgspec.structs.replace(request, queues=None, limit=limit, alone=alone)
            taken = await shard.claim(part)
            await relay(shard, self._shard)
            alone -= sum(claim.alone for claim in taken)
            claims += taken
        return sorted(claims, key=lambda claim: -claim.priority)

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return await self._by_queue(
            extensions,
            lambda extension: extension.claim.queue,
            lambda shard, part: shard.extend(part, lease),
        )

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        refuse_tx(tx)
        await self._register(task.queue for each in settlements for task in each.enqueue)
        afar = {each.claim: await self._afar(each) for each in settlements}

        async def settle(shard: Shard, part: Sequence[Settlement]) -> list[State | None]:
            return await shard.settle(part, [afar[each.claim] for each in part])

        return await self._by_queue(settlements, lambda each: each.claim.queue, settle)

    async def _afar(self, settlement: Settlement) -> Afar:
        """What of a settlement belongs to other queues than its own."""
        own, outcome = settlement.claim.queue, settlement.outcome
        tasks = tuple(task for task in settlement.enqueue if task.queue != own)
        if not isinstance(outcome, Waiting) or not outcome.children:
            return Afar(tasks) if tasks else NOT_AFAR
        made = {task.id: task.queue for task in settlement.enqueue}
        others = [child for child in outcome.children if child not in made]
        found = await self._located(others)
        live = made | {
            child: queue for child, (queue, there) in found.items() if there is Presence.LIVE
        }
        children = tuple(
            (live[child], child)
            for child in dict.fromkeys(outcome.children)
            if live.get(child, own) != own
        )
        return Afar(tasks, children)

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        await self._wake.wait(queues, timeout)

    # repair

    async def promote(self, limit: int) -> Promoted:
        moved, next_in = 0, None
        shards = await self._all()
        await self._register(tuple(self._registered))
        directory = self._shard(DIRECTORY)
        directory.sent = True  # who removed a schedule may have died before all queues heard of it
        await relay(directory, self._shard)
        for shard in shards:
            promoted = await shard.promote(limit - moved)
            await relay(shard, self._shard)
            await search.catch_up(shard, INDEX_STEPS)
            moved += promoted.moved
            ahead = [each for each in (next_in, promoted.next_in) if each is not None]
            next_in = min(ahead, default=None)
        return Promoted(moved, next_in)

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        reclaimed: list[Reclaimed] = []
        for shard in await self._all():
            reclaimed += await shard.reclaim(limit - len(reclaimed))
            await relay(shard, self._shard)
        return reclaimed

    async def prune(self, limit: int) -> int:
        pruned = 0
        for shard in await self._all():
            pruned += await shard.prune(limit - pruned)
        return pruned

    # operate

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return await self._by_id(ids, None, lambda shard, part: shard.cancel(part, reason))

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return await self._by_id(ids, Retrial.NOT_FOUND, lambda shard, part: shard.retry(part))

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return await self._by_id(ids, _NOT_REMOVED, lambda shard, part: shard.remove(part))

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._register([queue])
        await self._shard(queue).pause(queue, paused=paused)

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        await self._register(queue.name for queue in queues)
        for queue in queues:
            await self._shard(queue.name).configure([queue])

    # documents

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return await self._shard(DIRECTORY).get(kind, keys)

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        directory = self._shard(DIRECTORY)
        answers = await directory.put(puts) if puts else []
        await relay(directory, self._shard)
        return answers

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return await self._shard(DIRECTORY).documents(kind, prefix)

    # observe

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        return marks.merged(tuple((await self._look(schedules, fires)).values()), fires)

    async def history(self, query: HistoryQuery) -> list[Tally]:
        shards = await self._all(query.queues or None)
        parts = await asyncio.gather(*(history.history(shard, query) for shard in shards))
        return sorted((tally for part in parts for tally in part), key=history.place_of)

    async def find(self, query: TaskQuery) -> TaskPage:
        shards = await self._all(query.queues or None)
        pages = await asyncio.gather(*(search.find(shard, query) for shard in shards))
        found = sorted(
            (task for page in pages for task in page), key=lambda task: task.id, reverse=True
        )
        return search.page(found, query.limit)

    async def reindex(self, told: Callable[[int], None]) -> int:
        """Make what people search by again; tells and answers how many tasks it has."""
        total = 0
        for shard in await self._all():
            before = total

            def told_here(number: int, before: int = before) -> None:
                told(before + number)

            await forget_index(self._link, shard)
            total += await search.reindex(shard, told_here)
        return total

    async def unindexed(self) -> int:
        """Transitions that are not in the index yet; never 0 while all tasks are indexed again."""
        return sum([await search.behind(shard) for shard in await self._all()])

    async def stats(self) -> Stats:
        parts = await asyncio.gather(*(shard.stats() for shard in await self._all()))
        now = (await self._shard(DIRECTORY).stats()).at
        return Stats(
            at=max((part.at for part in parts), default=now),
            counts=tuple(count for part in parts for count in part.counts),
            queues=tuple(queue for part in parts for queue in part.queues),
        )

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait.total_seconds()
        while True:
            journal = Journal({name: self._shard(name) for name in await self._queues()})
            page = await journal.read(after, limit)
            left = end - loop.time()
            if page.entries or page.cut or left <= 0:
                return page
            after = page.cursor
            await journal.wait(self._link, after, timedelta(seconds=min(left, NEW_QUEUE_WITHIN)))

    # which queue is where

    def _shard(self, queue: str) -> Shard:
        if queue not in self._shards:
            prefix = self._link.address.prefix
            self._shards[queue] = Shard(
                self._link, root(prefix, queue), channel(prefix), self._clock
            )
        return self._shards[queue]

    async def _register(self, queues: Iterable[str]) -> None:
        """Make queues known to those who look at all of them, before anything is in them."""
        now = asyncio.get_running_loop().time()
        old = now - REGISTER_EVERY
        new = [name for name in dict.fromkeys(queues) if self._registered.get(name, old) <= old]
        if not new:
            return
        key = self._shard(DIRECTORY).root + NAMES["known"]
        known = await self._link.command("SMISMEMBER", key, *new, key=key)
        missing = [name for name, there in zip(new, known, strict=True) if not there]
        if missing:  # else a server that is out of memory would refuse what is not needed
            await self._link.command("SADD", key, *missing, key=key)
        self._registered |= dict.fromkeys(new, now)

    async def _queues(self) -> list[str]:
        """Every queue, also those that this session met before somebody emptied the store."""
        now = asyncio.get_running_loop().time()
        key = self._shard(DIRECTORY).root + NAMES["known"]
        for name in await self._link.command("SMEMBERS", key, key=key):
            self._registered.setdefault(name.decode(), now)
        return sorted(self._registered)

    async def _all(self, named: Iterable[str] | None = None) -> list[Shard]:
        return [self._shard(name) for name in sorted(named or await self._queues())]

    async def _look(self, schedules: Sequence[str], fires: int = 0) -> dict[str, Marks]:
        """What each shard says of some schedules."""
        places = [*await self._queues(), DIRECTORY]
        looked = (marks.marks(self._shard(place), schedules, fires) for place in places)
        return dict(zip(places, await asyncio.gather(*looked), strict=True))

    async def _located(self, ids: Sequence[str]) -> dict[str, tuple[str, Presence]]:
        """Where tasks are; queues whose mark an id carries are asked first."""
        queues = await self._queues() if ids else []
        likely: dict[str, list[str]] = {}
        for queue in queues:
            marked = [each for each in ids if carried_mark(each) == queue_mark(queue)]
            if marked:
                likely[queue] = marked
        found = await self._present(likely)
        missing = [each for each in ids if each not in found]
        return found | await self._present(dict.fromkeys(queues, missing) if missing else {})

    async def _present(self, asked: dict[str, list[str]]) -> dict[str, tuple[str, Presence]]:
        answers = await asyncio.gather(
            *(self._shard(queue).present(ids) for queue, ids in asked.items())
        )
        return {
            task_id: (queue, there)
            for (queue, ids), presence in zip(asked.items(), answers, strict=True)
            for task_id, there in zip(ids, presence, strict=True)
            if there is not Presence.ABSENT
        }

    async def _by_id(
        self,
        ids: Sequence[str],
        absent: A,
        verb: Callable[[Shard, Sequence[str]], Awaitable[list[A]]],
    ) -> list[A]:
        """Each id in its queue's shard; `absent` answers for those that are nowhere."""
        found = await self._located(tuple(dict.fromkeys(ids)))
        there = [each for each in ids if each in found]
        answers = iter(await self._by_queue(there, lambda each: found[each][0], verb))
        return [next(answers) if each in found else absent for each in ids]

    async def _by_queue(
        self,
        items: Sequence[T],
        queue_of: Callable[[T], str],
        verb: Callable[[Shard, Sequence[T]], Awaitable[list[A]]],
    ) -> list[A]:
        """Call a verb once for each queue, all at the same time; answers in the order of items."""
        parts: dict[str, list[int]] = defaultdict(list)
        for position, item in enumerate(items):
            parts[queue_of(item)].append(position)

        async def one(queue: str, positions: list[int]) -> list[A]:
            shard = self._shard(queue)
            answers = await verb(shard, [items[position] for position in positions])
            await relay(shard, self._shard)
            return answers

        done = await asyncio.gather(*(one(queue, parts[queue]) for queue in sorted(parts)))
        answers: dict[int, A] = {}
        for queue, part in zip(sorted(parts), done, strict=True):
            answers |= zip(parts[queue], part, strict=True)
        return [answers[position] for position in range(len(items))]
