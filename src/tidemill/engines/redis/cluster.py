"""The engine on a cluster: a shard per queue, in a slot of its own.

What one verb does in one queue is one step, as everywhere. What it does in several is one step for
each, in the order of their names; what belongs together across queues is completed by a relay.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
from tidemill.engines.redis import documents, history, marks, search
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.arguments import NOT_AFAR, Afar
from tidemill.engines.redis.engine import (
    INDEX_STEPS,
    NO_TX,
    admitted,
    forget_index,
    refuse_tx,
    unknown,
)
from tidemill.engines.redis.journal import Journal
from tidemill.engines.redis.keys import DIRECTORY, channel
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.relay import relay
from tidemill.engines.redis.restore import restore
from tidemill.engines.redis.shard import Presence, Shard
from tidemill.engines.redis.shards import Shards, upstream
from tidemill.engines.redis.turns import Turns
from tidemill.engines.redis.wake import Wake
from tidemill.engines.redis.waves import Asking, waves
from tidemill.errors import EngineRefused
from tidemill.outcome import Settlement, Waiting
from tidemill.task import Claim, NewTask, State, Task

T = TypeVar("T")
A = TypeVar("A")

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
        self._shards = Shards(self._link, clock)
        self._turns = Turns(self._shards)

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
        self._info = await admitted(self._link, self._shards.directory, self._info)

    # produce

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        refuse_tx(tx)
        await self._shards.register(task.queue for task in tasks)

        async def enqueue(wave: Sequence[NewTask]) -> list[Enqueued]:
            elsewhere = await self._shards.elsewhere(wave)
            return await self._shards.by_queue(
                wave, lambda task: task.queue, lambda shard, part: shard.enqueue(part, elsewhere)
            )

        asking = (Asking(task.id, task.queue, upstream(task)) for task in tasks)
        return await _in_waves(tasks, waves(asking), enqueue)

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        if not firings:
            return []
        await self._shards.register(firing.task.queue for firing in firings if firing.task)
        schedules = tuple(dict.fromkeys(firing.schedule for firing in firings))
        defined, looked = await asyncio.gather(
            documents.get(self._shards.directory, SCHEDULE, schedules), self._look(schedules)
        )
        places = marks.Places(defined, looked)
        refused = [places.refused(firing) for firing in firings]
        queues = places.queues(firings, otherwise=DIRECTORY)
        elsewhere = await self._shards.elsewhere([each.task for each in firings if each.task])
        left = [
            (queue, msgspec.structs.replace(firing, version=None))
            for firing, queue, answer in zip(firings, queues, refused, strict=True)
            if answer is None
        ]

        async def fire(shard: Shard, part: Sequence[tuple[str, Firing]]) -> list[Fired]:
            return await marks.fire(shard, [firing for _, firing in part], elsewhere)

        answers = iter(await self._shards.by_queue(left, lambda each: each[0], fire))
        return [next(answers) if answer is None else answer for answer in refused]

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        await self._shards.register(task.queue for task in tasks)
        await self._shards.register(tally.queue for tally in tallies)

        async def take_in(shard: Shard, part: Sequence[Tally]) -> list[None]:
            await restore(shard, (), tallies=part)
            return [None for _ in part]

        async def put(wave: Sequence[Task]) -> list[bool]:
            elsewhere = await self._shards.elsewhere(wave)
            return await self._shards.by_queue(
                wave,
                lambda task: task.queue,
                lambda shard, part: restore(shard, part, elsewhere=elsewhere),
            )

        asking = (
            Asking(each.id, each.queue, upstream(each) if each.blocked_on == "upstream" else ())
            for each in tasks
        )
        answers = await _in_waves(tasks, waves(asking), put)
        await self._shards.by_queue(tallies, lambda tally: tally.queue, take_in)
        if marks:
            known = await self.marks([mark.schedule for mark in marks])
            pairs = zip(marks, known.marks, strict=True)
            new = [mark for mark, there in pairs if there == Mark(mark.schedule)]
            await restore(self._shards.directory, (), new)
        return answers

    # consume

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        taken = await self._turns.claim(request)
        self._wake.expect(request.queues, taken.next_in)
        return taken.claims

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return await self._shards.by_queue(
            extensions,
            lambda extension: extension.claim.queue,
            lambda shard, part: shard.extend(part, lease),
        )

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        refuse_tx(tx)
        await self._shards.register(task.queue for each in settlements for task in each.enqueue)
        afar = {each.claim: await self._afar(each) for each in settlements}

        async def settle(shard: Shard, part: Sequence[Settlement]) -> list[State | None]:
            return await shard.settle(part, [afar[each.claim] for each in part])

        return await self._shards.by_queue(settlements, lambda each: each.claim.queue, settle)

    async def _afar(self, settlement: Settlement) -> Afar:
        """What of a settlement belongs to other queues than its own."""
        own, outcome = settlement.claim.queue, settlement.outcome
        if not settlement.enqueue and not isinstance(outcome, Waiting):
            return NOT_AFAR
        made = {task.id: task.queue for task in settlement.enqueue}
        asking = (Asking(task.id, task.queue, upstream(task)) for task in settlement.enqueue)
        ordered = [settlement.enqueue[place] for wave in waves(asking) for place in wave]
        tasks = tuple(task for task in ordered if task.queue != own)
        elsewhere = await self._shards.elsewhere(settlement.enqueue, made)
        if not isinstance(outcome, Waiting) or not outcome.children:
            return Afar(tasks, upstream=elsewhere) if tasks or elsewhere else NOT_AFAR
        others = [child for child in outcome.children if child not in made]
        found = await self._shards.located(others)
        live = made | {
            child: queue for child, (queue, there) in found.items() if there is Presence.LIVE
        }
        children = tuple(
            (live[child], child)
            for child in dict.fromkeys(outcome.children)
            if live.get(child, own) != own
        )
        return Afar(tasks, children, elsewhere)

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        await self._wake.wait(queues, timeout)

    # repair

    async def promote(self, limit: int) -> Promoted:
        moved, next_in = 0, None
        shards = await self._shards.all()
        await self._shards.register(self._shards.known)
        directory = self._shards.directory
        directory.sent = True  # who removed a schedule may have died before all queues heard of it
        await relay(directory, self._shards.of)
        for shard in shards:
            promoted = await shard.promote(limit - moved)
            await relay(shard, self._shards.of)
            await search.catch_up(shard, INDEX_STEPS)
            moved += promoted.moved
            ahead = [each for each in (next_in, promoted.next_in) if each is not None]
            next_in = min(ahead, default=None)
        return Promoted(moved, next_in)

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        reclaimed: list[Reclaimed] = []
        for shard in await self._shards.all():
            reclaimed += await shard.reclaim(limit - len(reclaimed))
            await relay(shard, self._shards.of)
        return reclaimed

    async def prune(self, limit: int) -> int:
        pruned = 0
        for shard in await self._shards.all():
            pruned += await shard.prune(limit - pruned)
        return pruned

    # operate

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return await self._shards.by_id(ids, None, lambda shard, part: shard.cancel(part, reason))

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return await self._shards.by_id(
            ids, Retrial.NOT_FOUND, lambda shard, part: shard.retry(part)
        )

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return await self._shards.by_id(ids, _NOT_REMOVED, lambda shard, part: shard.remove(part))

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._shards.register([queue])
        await self._shards.of(queue).pause(queue, paused=paused)

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        await self._shards.register(queue.name for queue in queues)
        for queue in queues:
            await self._shards.of(queue.name).configure([queue])

    # documents

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return await documents.get(self._shards.directory, kind, keys)

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        directory = self._shards.directory
        answers = await documents.put(directory, puts) if puts else []
        await relay(directory, self._shards.of)
        return answers

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return await documents.documents(self._shards.directory, kind, prefix)

    # observe

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        return marks.merged(tuple((await self._look(schedules, fires)).values()), fires)

    async def history(self, query: HistoryQuery) -> list[Tally]:
        shards = await self._shards.all(query.queues or None)
        parts = await asyncio.gather(*(history.history(shard, query) for shard in shards))
        tallies = sorted((tally for part in parts for tally in part), key=history.place_of)
        return history.together(tallies) if query.together else tallies

    async def find(self, query: TaskQuery) -> TaskPage:
        shards = await self._shards.all(query.queues or None)
        pages = await asyncio.gather(*(search.find(shard, query) for shard in shards))
        found = sorted(
            (task for page in pages for task in page), key=lambda task: task.id, reverse=True
        )
        return search.page(found, query.limit)

    async def reindex(self, told: Callable[[int], None]) -> int:
        """Make what people search by again; tells and answers how many tasks it has."""
        total = 0
        for shard in await self._shards.all():
            before = total

            def told_here(number: int, before: int = before) -> None:
                told(before + number)

            await forget_index(self._link, shard)
            total += await search.reindex(shard, told_here)
        return total

    async def unindexed(self) -> int:
        """Transitions that are not in the index yet; never 0 while all tasks are indexed again."""
        return sum([await search.behind(shard) for shard in await self._shards.all()])

    async def stats(self) -> Stats:
        parts = await asyncio.gather(*(shard.stats() for shard in await self._shards.all()))
        now = (await self._shards.directory.stats()).at
        return Stats(
            at=max((part.at for part in parts), default=now),
            counts=tuple(count for part in parts for count in part.counts),
            queues=tuple(queue for part in parts for queue in part.queues),
        )

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait.total_seconds()
        while True:
            journal = Journal({name: self._shards.of(name) for name in await self._shards.queues()})
            page = await journal.read(after, limit)
            left = end - loop.time()
            if page.entries or page.cut or left <= 0:
                return page
            after = page.cursor
            await journal.wait(self._link, after, timedelta(seconds=min(left, NEW_QUEUE_WITHIN)))

    async def _look(self, schedules: Sequence[str], fires: int = 0) -> dict[str, Marks]:
        """What each shard says of some schedules."""
        places = [*await self._shards.queues(), DIRECTORY]
        looked = (marks.marks(self._shards.of(place), schedules, fires) for place in places)
        return dict(zip(places, await asyncio.gather(*looked), strict=True))


async def _in_waves(
    items: Sequence[T], order: list[list[int]], verb: Callable[[Sequence[T]], Awaitable[list[A]]]
) -> list[A]:
    """Call a verb for one wave after the other; answers in the order of items."""
    answers: dict[int, A] = {}
    for wave in order:
        part = await verb([items[place] for place in wave])
        answers |= zip(wave, part, strict=True)
    return [answers[place] for place in range(len(items))]
