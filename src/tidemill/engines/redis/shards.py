"""The shards of a cluster: which queue is where, and a verb that goes to several of them."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from tidemill.clock import Clock
from tidemill.engines.redis.arguments import HERE
from tidemill.engines.redis.keys import DIRECTORY, NAMES, channel, root
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.relay import relay
from tidemill.engines.redis.shard import Presence, Shard
from tidemill.ids import carried_mark, queue_mark
from tidemill.task import NewTask, Task

T = TypeVar("T")
A = TypeVar("A")

REGISTER_EVERY: Final = 5.0
"""Seconds after which a session names a queue again: somebody may have emptied the store."""


class Shards:
    """One shard for each queue, and the directory, which knows the queues."""

    def __init__(self, link: Link, clock: Clock | None) -> None:
        self._link = link
        self._clock = clock
        self._made: dict[str, Shard] = {}
        self._registered: dict[str, float] = {}

    @property
    def known(self) -> tuple[str, ...]:
        """Every queue that this session met."""
        return tuple(self._registered)

    @property
    def directory(self) -> Shard:
        """What is kept beside the queues."""
        return self.of(DIRECTORY)

    def of(self, queue: str) -> Shard:
        """The shard of a queue."""
        if queue not in self._made:
            prefix = self._link.address.prefix
            self._made[queue] = Shard(self._link, root(prefix, queue), channel(prefix), self._clock)
        return self._made[queue]

    async def register(self, queues: Iterable[str]) -> None:
        """Make queues known to those who look at all of them, before anything is in them."""
        now = asyncio.get_running_loop().time()
        old = now - REGISTER_EVERY
        new = [name for name in dict.fromkeys(queues) if self._registered.get(name, old) <= old]
        if not new:
            return
        key = self.of(DIRECTORY).root + NAMES["known"]
        known = await self._link.command("SMISMEMBER", key, *new, key=key)
        missing = [name for name, there in zip(new, known, strict=True) if not there]
        if missing:  # else a server that is out of memory would refuse what is not needed
            await self._link.command("SADD", key, *missing, key=key)
        self._registered |= dict.fromkeys(new, now)

    async def queues(self) -> list[str]:
        """Every queue, also those that this session met before somebody emptied the store."""
        now = asyncio.get_running_loop().time()
        key = self.of(DIRECTORY).root + NAMES["known"]
        for name in await self._link.command("SMEMBERS", key, key=key):
            self._registered.setdefault(name.decode(), now)
        return sorted(self._registered)

    async def all(self, named: Iterable[str] | None = None) -> list[Shard]:
        """Those of some queues, or of every queue."""
        return [self.of(name) for name in sorted(named or await self.queues())]

    async def located(self, ids: Sequence[str]) -> dict[str, tuple[str, Presence]]:
        """Where tasks are; queues whose mark an id carries are asked first."""
        queues = await self.queues() if ids else []
        marked: dict[int, list[str]] = defaultdict(list)
        for each in ids:
            marked[carried_mark(each)].append(each)
        likely = {queue: marked.get(queue_mark(queue), []) for queue in queues}
        found = await self._present({queue: there for queue, there in likely.items() if there})
        missing = [each for each in ids if each not in found]
        return found | await self._present(dict.fromkeys(queues, missing) if missing else {})

    async def elsewhere(
        self, tasks: Sequence[NewTask | Task], made: Mapping[str, str] = HERE
    ) -> dict[str, str]:
        """The queues of those that tasks come after; `made` has those of tasks not there yet."""
        asked = dict.fromkeys(each for task in tasks for each in upstream(task))
        found = await self.located([each for each in asked if each not in made])
        queues = {task_id: queue for task_id, (queue, _) in found.items()}
        return queues | {each: made[each] for each in asked if each in made}

    async def _present(self, asked: dict[str, list[str]]) -> dict[str, tuple[str, Presence]]:
        answers = await asyncio.gather(
            *(self.of(queue).present(ids) for queue, ids in asked.items())
        )
        return {
            task_id: (queue, there)
            for (queue, ids), presence in zip(asked.items(), answers, strict=True)
            for task_id, there in zip(ids, presence, strict=True)
            if there is not Presence.ABSENT
        }

    async def by_id(
        self,
        ids: Sequence[str],
        absent: A,
        verb: Callable[[Shard, Sequence[str]], Awaitable[list[A]]],
    ) -> list[A]:
        """Each id in its queue's shard; `absent` answers for those that are nowhere."""
        found = await self.located(tuple(dict.fromkeys(ids)))
        there = [each for each in ids if each in found]
        answers = iter(await self.by_queue(there, lambda each: found[each][0], verb))
        return [next(answers) if each in found else absent for each in ids]

    async def by_queue(
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
            shard = self.of(queue)
            answers = await verb(shard, [items[position] for position in positions])
            await relay(shard, self.of)
            return answers

        done = await asyncio.gather(
            *(one(queue, parts[queue]) for queue in sorted(parts)), return_exceptions=True
        )
        answers: dict[int, A] = {}
        for queue, part in zip(sorted(parts), done, strict=True):
            if isinstance(part, BaseException):
                raise part  # once all of them have ended: nothing goes on behind the caller's back
            answers |= zip(parts[queue], part, strict=True)
        return [answers[position] for position in range(len(items))]


def upstream(task: NewTask | Task) -> tuple[str, ...]:
    """Those that a task comes after."""
    return () if task.after is None else task.after.tasks
