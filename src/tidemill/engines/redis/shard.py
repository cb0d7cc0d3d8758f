"""One shard: every verb as one call of its script, atomic over all queues of the shard."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from itertools import repeat
from typing import Any, Final

import msgspec

from tidemill.clock import Clock, from_micros, micros
from tidemill.engine import (
    ClaimRequest,
    Enqueued,
    Extension,
    Hold,
    Promoted,
    QueueDefinition,
    Reclaimed,
    Retrial,
    StateCount,
    Stats,
)
from tidemill.engines.redis.arguments import HERE, NOT_AFAR, Afar, Blobs, made, settled
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.queues import defined, status
from tidemill.engines.redis.records import (
    claim_from,
    pack,
    task_from,
    to_json,
)
from tidemill.engines.redis.scripts import Script, script
from tidemill.errors import QueueFull
from tidemill.outcome import (
    Settlement,
)
from tidemill.task import Claim, NewTask, State, Task

FORGET_WORKERS_AFTER: Final = timedelta(hours=1)

_PRESENT_AT_ONCE: Final = 2_000
"""Ids that one call looks up: a millisecond or two of the server's time."""

_HOLDS: Final = (Hold.LOST, Hold.HELD, Hold.CANCEL)


class Glance(msgspec.Struct, frozen=True):
    """What a claim would find in a shard of one queue, of which it would be given `gives` at most.

    `next_in`: microseconds until its rate lets the next one start. `known`: the claim id was used
    there.
    """

    beside: int
    alone: int
    weight: int
    gives: int
    next_in: int
    known: bool

    @property
    def waits(self) -> bool:
        """Whether something is ready and waits for the rate."""
        return self.next_in > 0 and self.beside + self.alone > 0


class Taken(msgspec.Struct, frozen=True):
    """What a claim took; `next_in`: microseconds until a rate lets a ready task start, or 0."""

    claims: list[Claim]
    next_in: int = 0


class Presence(IntEnum):
    """Whether a task is in a shard."""

    ABSENT = 0
    FINAL = 1
    LIVE = 2


class Indexed(msgspec.Struct, frozen=True):
    """How the index stands: transitions that it does not know yet.

    `again`: all tasks are being indexed again, of which `shown` were just now.
    """

    left: int
    again: bool
    shown: int


class Shard:
    """All keys under one root. Arguments go as one msgpack array, opaque bytes behind it.

    `sent` is set once there may be something in the outbox for other shards; the relay clears it.
    """

    def __init__(self, link: Link, root: str, channel: str, clock: Clock | None) -> None:
        self._link = link
        self.root = root
        self.sent = False
        self._channel = channel
        self._clock = clock

    async def call(self, called: Script, arguments: object, blobs: Sequence[bytes] = ()) -> Any:
        """Run one script."""
        now = "" if self._clock is None else str(self._clock.now())
        return await self._link.call(called, self.root, now, self._channel, pack(arguments), *blobs)

    async def migrate(self, form: int) -> int:
        """Mark an empty store with this format; answers the format that it has."""
        found: int = await self.call(script("migrate"), [form])
        return found

    # produce

    async def enqueue(
        self, tasks: Sequence[NewTask], elsewhere: Mapping[str, str] = HERE
    ) -> list[Enqueued]:
        """Accept tasks in order, all or none."""
        blobs = Blobs()
        arguments = [made(task, blobs, elsewhere) for task in tasks]
        answers, rest = await self.call(script("enqueue"), arguments, blobs.all)
        if answers is None:
            queue, capacity, waiting, more = rest
            raise QueueFull(queue.decode(), capacity, waiting, more)
        self.sent |= rest == 1
        return [
            Enqueued(task.id) if holder == 0 else Enqueued(holder.decode(), duplicate=True)
            for task, holder in zip(tasks, answers, strict=True)
        ]

    # consume

    async def claim(self, request: ClaimRequest) -> Taken:
        """Take ready tasks; asks again while tasks of unknown types were only set aside."""
        arguments = (
            request.claim_id,
            request.worker,
            False if request.queues is None else request.queues,
            tuple(request.task_types),
            request.limit,
            request.alone,
            micros(request.lease),
        )
        while True:
            again, rows, sent, next_in = await self.call(script("claim"), arguments)
            self.sent |= sent == 1
            if not again:
                return Taken([claim_from(row, request.claim_id) for row in rows], next_in)

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        """Renew held leases."""
        arguments: list[object] = [micros(lease)]
        for each in extensions:
            ref = each.claim
            progress = to_json(each.progress) if each.progress is not None else False
            logs = [to_json(line) for line in each.logs]
            arguments.append((ref.task_id, ref.token, ref.claim_id, progress, logs))
        answers = await self.call(script("extend"), arguments)
        return [_HOLDS[answer] for answer in answers]

    async def settle(
        self, settlements: Sequence[Settlement], afar: Sequence[Afar] = ()
    ) -> list[State | None]:
        """Record outcomes; `afar` is what each has for other shards, where any has something."""
        blobs = Blobs()
        arguments = [
            settled(each, far, blobs)
            for each, far in zip(settlements, afar or repeat(NOT_AFAR), strict=False)
        ]
        answers, sent = await self.call(script("settle"), arguments, blobs.all)
        self.sent |= sent == 1
        return [_state(answer) for answer in answers]

    # repair

    async def promote(self, limit: int) -> Promoted:
        """Move due tasks on."""
        moved, next_in, sent = await self.call(script("promote"), [limit])
        self.sent |= sent == 1
        return Promoted(moved, None if next_in < 0 else timedelta(microseconds=next_in))

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        """Take back expired leases, and forget workers that are gone."""
        idle = FORGET_WORKERS_AFTER // timedelta(milliseconds=1)
        rows, sent = await self.call(script("reclaim"), [limit, idle])
        self.sent |= sent == 1
        return [_reclaimed(*(text.decode() for text in row)) for row in rows]

    async def prune(self, limit: int) -> int:
        """Remove final tasks whose retention is over."""
        pruned: int = await self.call(script("prune"), [limit])
        return pruned

    # operate

    async def cancel(self, ids: Sequence[str], reason: str) -> list[State | None]:
        """Cancel waiting tasks, ask running ones to stop."""
        answers, sent = await self.call(script("cancel"), [reason, ids])
        self.sent |= sent == 1
        return [_state(answer) for answer in answers]

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        """Run failed and cancelled tasks again."""
        answers, sent = await self.call(script("retry", repeatable=False), ids)
        self.sent |= sent == 1
        return [Retrial(answer.decode()) for answer in answers]

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        """Forget final tasks."""
        return [answer == 1 for answer in await self.call(script("remove", repeatable=False), ids)]

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue."""
        await self.call(script("queues"), [(queue, {"paused": paused})])

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        """Create queues or change their settings."""
        await self.call(script("queues"), [(each.name, defined(each)) for each in queues])

    # beside other shards

    async def glance(self, request: ClaimRequest) -> Glance:
        """What a claim would find here."""
        arguments = [request.claim_id, request.worker, tuple(request.task_types)]
        beside, alone, weight, gives, next_in, known = await self.call(
            script("glance", writes=False), arguments
        )
        return Glance(beside, alone, weight, gives, next_in, known == 1)

    async def present(self, ids: Sequence[str]) -> list[Presence]:
        """Which of some tasks are here."""
        found: list[Presence] = []
        for begin in range(0, len(ids), _PRESENT_AT_ONCE):
            part = ids[begin : begin + _PRESENT_AT_ONCE]
            found += map(Presence, await self.call(script("present", writes=False), part))
        return found

    async def outbox(self, limit: int, carried: Sequence[int]) -> list[list[Any]]:
        """What other shards must be told; what was carried is forgotten."""
        messages: list[list[Any]] = await self.call(script("outbox"), [limit, carried])
        return messages

    async def carry(self, messages: Sequence[object], blobs: Sequence[bytes] = ()) -> list[str]:
        """Hear what other shards sent; answers how those to wait for are over that are."""
        answers, sent = await self.call(script("carry"), messages, blobs)
        self.sent |= sent == 1
        return [answer.decode() for answer in answers]

    # observe

    async def read(self, ids: Sequence[str], *, details: bool) -> list[Task]:
        """Those of the tasks that are there."""
        rows = await self.call(script("read", writes=False), [details, ids])
        return [task_from(row) for row in rows]

    async def find(self, query: Mapping[str, object]) -> tuple[list[Task], str | None]:
        """One look through the index; where to go on, None at its end."""
        rows, last = await self.call(script("find", writes=False), query)
        return [task_from(row) for row in rows], None if last is None else last.decode()

    async def index(self, limit: int, most: int, *, again: bool = False) -> Indexed:
        """Index so many transitions, keeping `most` tasks; `again` begins to index all tasks."""
        left, again_now, shown = await self.call(script("index"), [limit, most, again])
        return Indexed(left, again_now == 1, shown)

    async def stats(self) -> Stats:
        """Counts and queues now."""
        now, counts, queues, oldest = await self.call(script("stats"), [])
        since = {name.decode(): due for name, due in _pairs(oldest)}
        return Stats(
            at=from_micros(now),
            counts=tuple(sorted(map(_count, _pairs(counts)), key=_place_of)),
            queues=tuple(
                sorted(
                    (status(name.decode(), raw, since) for name, raw in _pairs(queues)),
                    key=lambda queue: queue.name,
                )
            ),
        )


def _reclaimed(task_id: str, task_type: str, queue: str, worker: str, state: str) -> Reclaimed:
    return Reclaimed(task_id, task_type, queue, worker, State(state))


def _state(answer: bytes | None) -> State | None:
    return None if answer is None else State(answer.decode())


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _count(pair: tuple[bytes, bytes]) -> StateCount:
    queue, task_type, state = pair[0].decode().split("/")
    return StateCount(queue, task_type, State(state), int(pair[1]))


def _place_of(count: StateCount) -> tuple[str, str, str]:
    return count.queue, count.task_type, count.state
