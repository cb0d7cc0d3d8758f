"""One shard: every verb as one call of its script, atomic over all queues of the shard."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from itertools import islice, repeat
from typing import Any, Final

import msgspec

from tidemill.clock import Clock, from_micros, micros, to_micros
from tidemill.engine import (
    ClaimRequest,
    Document,
    Enqueued,
    Extension,
    FeedPage,
    Hold,
    Promoted,
    Put,
    QueueDefinition,
    QueueStatus,
    Reclaimed,
    Retrial,
    StateCount,
    Stats,
    Transition,
)
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.records import (
    claim_from,
    facts,
    has_labels,
    has_rules,
    pack,
    progress_from,
    task_from,
    to_json,
)
from tidemill.engines.redis.scripts import Script, script
from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Settlement,
    Snoozed,
    Waiting,
)
from tidemill.task import Claim, NewTask, State, Task

FIRST_BLOB: Final = 4
"""Where the opaque bytes of a call begin in its script's ARGV: after clock, channel, arguments."""

FORGET_WORKERS_AFTER: Final = timedelta(hours=1)

FEED_END: Final = -1
FEED_BEGIN: Final = -2

HEAD: Final = 7
"""What a group of transitions in the feed begins with; ids follow (`feed.lua`)."""

_NONE: Final = timedelta(0)
_HOLDS: Final = (Hold.LOST, Hold.HELD, Hold.CANCEL)


class Afar(msgspec.Struct, frozen=True):
    """What a settlement has for other shards: tasks to enqueue, children ({queue, id}) to await."""

    tasks: tuple[NewTask, ...] = ()
    children: tuple[tuple[str, str], ...] = ()


NOT_AFAR: Final = Afar()


class Glance(msgspec.Struct, frozen=True):
    """What a claim would find in a shard of one queue; `known`: its claim id was used there."""

    beside: int
    alone: int
    weight: int
    paused: bool
    known: bool


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


class _Settings(msgspec.Struct, frozen=True):
    """A queue's hash field; `passed` is its place in the rotation."""

    weight: int
    paused: bool
    passed: int
    lease: int | None = None


_told: Final = msgspec.msgpack.Decoder(list[list[str | int | bool]]).decode
_settings: Final = msgspec.msgpack.Decoder(_Settings).decode


class Blobs:
    """Opaque bytes that follow a call's arguments, and the place of each in ARGV."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def add(self, *blobs: bytes) -> int:
        """The place of the first of these."""
        place = FIRST_BLOB + len(self.all)
        self.all += blobs
        return place


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

    async def enqueue(self, tasks: Sequence[NewTask]) -> list[Enqueued]:
        """Accept tasks in order, all or none."""
        blobs = Blobs()
        arguments = [made(task, blobs) for task in tasks]
        answers = await self.call(script("enqueue"), arguments, blobs.all)
        return [
            Enqueued(task.id) if holder == 0 else Enqueued(holder.decode(), duplicate=True)
            for task, holder in zip(tasks, answers, strict=True)
        ]

    # consume

    async def claim(self, request: ClaimRequest) -> list[Claim]:
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
            again, rows, sent = await self.call(script("claim"), arguments)
            self.sent |= sent == 1
            if not again:
                return [claim_from(row, request.claim_id) for row in rows]

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
            _settlement(each, far, blobs)
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
        answers = await self.call(script("retry", repeatable=False), ids)
        return [Retrial(answer.decode()) for answer in answers]

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        """Forget final tasks."""
        return [answer == 1 for answer in await self.call(script("remove", repeatable=False), ids)]

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue."""
        await self.call(script("queues"), [(queue, {"paused": paused})])

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        """Create queues or change their settings."""
        await self.call(
            script("queues"),
            [
                (each.name, {"weight": each.weight, "lease": micros(each.lease or _NONE)})
                for each in queues
            ],
        )

    # documents

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        """Read documents by key."""
        found = await self.call(script("documents", writes=False), [kind, keys])
        return [
            None if raw is None else _document(kind, key, raw)
            for key, raw in zip(keys, found, strict=True)
        ]

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        """Write documents in order."""
        blobs = Blobs()
        arguments = [
            (
                each.kind,
                each.key,
                False if each.if_version is None else each.if_version,
                False if each.body is None else blobs.add(each.body),
            )
            for each in puts
        ]
        versions, sent = await self.call(script("put", repeatable=False), arguments, blobs.all)
        self.sent |= sent == 1
        return [
            None if version < 0 else Document(each.kind, each.key, version, each.body or b"")
            for each, version in zip(puts, versions, strict=True)
        ]

    async def documents(self, kind: str, prefix: str) -> list[Document]:
        """All documents of a kind under a prefix, by key."""
        flat = await self.call(script("documents", writes=False), [kind, False])
        found = [
            _document(kind, key.decode(), raw)
            for key, raw in zip(flat[::2], flat[1::2], strict=True)
        ]
        return sorted(
            (each for each in found if each.key.startswith(prefix)), key=lambda each: each.key
        )

    # beside other shards

    async def glance(self, request: ClaimRequest) -> Glance:
        """What a claim would find here."""
        arguments = [request.claim_id, request.worker, tuple(request.task_types)]
        beside, alone, weight, paused, known = await self.call(
            script("glance", writes=False), arguments
        )
        return Glance(beside, alone, weight, paused == 1, known == 1)

    async def present(self, ids: Sequence[str]) -> list[Presence]:
        """Which of some tasks are here."""
        answers = await self.call(script("present", writes=False), ids)
        return [Presence(answer) for answer in answers]

    async def outbox(self, limit: int, carried: Sequence[int]) -> list[list[Any]]:
        """What other shards must be told; what was carried is forgotten."""
        messages: list[list[Any]] = await self.call(script("outbox"), [limit, carried])
        return messages

    async def carry(self, *message: str) -> bool:
        """Hear what another shard sent; False for a child that is not live."""
        answer, sent = await self.call(script("carry"), message)
        self.sent |= sent == 1
        return bool(answer == 1)

    async def enqueue_sent(self, message: Sequence[Any]) -> None:
        """Enqueue a task that another shard sent."""
        queue, task_id, task_type, priority, attempts, due, rules, labels, packed, payload = message
        arguments = (
            task_id.decode(),
            queue.decode(),
            task_type.decode(),
            priority,
            attempts,
            FIRST_BLOB,
            False,
            int(due),
            rules == 1,
            labels == 1,
        )
        await self.call(script("carry"), ("enqueue", arguments), [packed, payload])

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
                    (_queue(name.decode(), raw, since) for name, raw in _pairs(queues)),
                    key=lambda queue: queue.name,
                )
            ),
        )

    async def feed(self, after: str | None, limit: int) -> FeedPage:
        """Transitions after a cursor: `number:instant`, how many were told before, and when."""
        number, told_before = position(after)
        first, told, told_at, lost, batches = await self.call(
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


def made(task: NewTask, blobs: Blobs) -> tuple[object, ...]:
    """A task as `produce.lua` takes it."""
    return (
        task.id,
        task.queue,
        task.task_type,
        task.priority,
        task.max_attempts,
        blobs.add(facts(task), task.payload),
        False if task.delay is None else micros(task.delay),
        False if task.run_at is None else to_micros(task.run_at),
        has_rules(task),
        has_labels(task),
    )


def _settlement(settlement: Settlement, afar: Afar, blobs: Blobs) -> tuple[object, ...]:
    ref, outcome = settlement.claim, settlement.outcome
    return (
        ref.task_id,
        ref.token,
        ref.claim_id,
        type(outcome).__name__,
        _outcome(outcome, afar, blobs),
        _along(settlement, afar, blobs),
    )


def _along(settlement: Settlement, afar: Afar, blobs: Blobs) -> dict[str, object] | bool:
    progress = settlement.progress
    if not settlement.enqueue and not settlement.logs and progress is None:
        return False
    return {
        "made": [made(task, blobs) for task in settlement.enqueue if task not in afar.tasks],
        "sent": [(task.queue, made(task, blobs)) for task in afar.tasks],
        "progress": False if progress is None else to_json(progress),
        "logs": [to_json(line) for line in settlement.logs],
    }


def _outcome(outcome: Outcome, afar: Afar, blobs: Blobs) -> dict[str, object] | int:
    match outcome:
        case Completed(None) | Released():
            return False
        case Completed(result):
            return blobs.add(result or b"")
        case Failed(error):
            return {"error": to_json(error)}
        case Cancelled(reason):
            return {"reason": reason}
        case Retried(error, delay, crashed):
            return {"error": to_json(error), "delay": micros(delay), "crashed": crashed}
        case Snoozed(delay, reason):
            return {"delay": micros(delay), "reason": reason}
        case Waiting(children):
            elsewhere = {child for _, child in afar.children}
            near = [child for child in children if child not in elsewhere]
            return {"children": near, "afar": afar.children}


def _reclaimed(task_id: str, task_type: str, queue: str, worker: str, state: str) -> Reclaimed:
    return Reclaimed(task_id, task_type, queue, worker, State(state))


def _state(answer: bytes | None) -> State | None:
    return None if answer is None else State(answer.decode())


def _document(kind: str, key: str, raw: bytes) -> Document:
    version, _, body = raw.partition(b":")
    return Document(kind, key, int(version), body)


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _count(pair: tuple[bytes, bytes]) -> StateCount:
    queue, task_type, state = pair[0].decode().split("/")
    return StateCount(queue, task_type, State(state), int(pair[1]))


def _place_of(count: StateCount) -> tuple[str, str, str]:
    return count.queue, count.task_type, count.state


def _queue(name: str, raw: bytes, since: Mapping[str, int]) -> QueueStatus:
    settings = _settings(raw)
    return QueueStatus(
        name=name,
        weight=settings.weight,
        paused=settings.paused,
        lease=None if settings.lease is None else timedelta(microseconds=settings.lease),
        oldest_pending_at=from_micros(since[name]) if name in since else None,
    )


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
