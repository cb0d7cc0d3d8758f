"""How far schedules have come: firing them, and what is told of them; also spread over shards."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tidemill.clock import from_micros, to_micros
from tidemill.engine import FIRES_KEPT, Document, Fire, Fired, Firing, Mark, Marks
from tidemill.engines.redis.arguments import HERE, Blobs, made
from tidemill.engines.redis.scripts import script
from tidemill.engines.redis.shard import Shard

MARKS_AT_ONCE: Final = 2_000
"""Marks, or fires, that one call reads: a millisecond or two of the server's time."""


class _Fire(msgspec.Struct, frozen=True, array_like=True):
    """A fire as `fires.lua` describes it; its `task_id` is False where there is none."""

    at: int
    recorded_at: int
    outcome: Fired
    task_id: str | bool
    missed: int
    by_hand: bool


_fire: Final = msgspec.msgpack.Decoder(_Fire).decode


async def fire(
    shard: Shard, firings: Sequence[Firing], elsewhere: Mapping[str, str] = HERE
) -> list[Fired]:
    """Move marks and enqueue what is fired; `elsewhere` has the queues of upstream tasks, by id."""
    blobs = Blobs()
    arguments = [
        (
            each.schedule,
            to_micros(each.at),
            False if each.task is None else made(each.task, blobs, elsewhere),
            False if each.version is None else each.version,
            each.missed,
            each.by_hand,
        )
        for each in firings
    ]
    answers, sent = await shard.call(script("fire", repeatable=False), arguments, blobs.all)
    shard.sent |= sent == 1
    return [Fired(answer.decode()) for answer in answers]


async def marks(shard: Shard, schedules: Sequence[str], fires: int) -> Marks:
    """How far schedules have come, and at most so many fires of each."""
    part = max(1, MARKS_AT_ONCE // max(1, fires))
    now, found = 0, []
    for begin in range(0, max(1, len(schedules)), part):
        asked = schedules[begin : begin + part]
        now, raw, told = await shard.call(script("marks", writes=False), [fires, asked])
        of_each = dict(zip(told[::2], told[1::2], strict=True))
        found += [
            _mark(schedule, mark, of_each.get(place, ()))
            for place, (schedule, mark) in enumerate(zip(asked, raw, strict=True), 1)
        ]
    return Marks(from_micros(now), tuple(found))


def merged(parts: Sequence[Marks], fires: int) -> Marks:
    """The marks that several shards have of the same schedules as one."""
    kept = min(fires, FIRES_KEPT)
    return Marks(
        max(part.at for part in parts),
        tuple(_merged(each, kept) for each in zip(*(part.marks for part in parts), strict=True)),
    )


def stored(mark: Mark) -> tuple[object, ...]:
    """A mark as `restore.lua` takes it."""
    at = "" if mark.at is None else to_micros(mark.at)
    fires = [
        (
            to_micros(each.at),
            to_micros(each.recorded_at),
            each.outcome.value,
            False if each.task_id is None else each.task_id,
            each.missed,
            each.by_hand,
        )
        for each in mark.fires
    ]
    return (mark.schedule, f"{at}:{mark.count}", fires)


class Places:
    """Where on a cluster the marks of some schedules are: in the queues that their tasks go to.

    `defined` are the documents that the schedules have, `looked` what the shard of each queue says
    of all of them.
    """

    def __init__(self, defined: Sequence[Document | None], looked: Mapping[str, Marks]) -> None:
        self._versions = {each.key: each.version for each in defined if each is not None}
        self._reached: dict[str, tuple[datetime, str]] = {}
        for queue, found in looked.items():
            for mark in found.marks:
                reached = self._reached.get(mark.schedule)
                if mark.at is not None and (reached is None or mark.at > reached[0]):
                    self._reached[mark.schedule] = (mark.at, queue)

    def refused(self, firing: Firing) -> Fired | None:
        """Why a firing must not be tried in its queue, which knows its own marks only."""
        if firing.version not in (None, self._versions.get(firing.schedule)):
            return Fired.CHANGED
        reached = self._reached.get(firing.schedule)
        if reached is not None and not firing.by_hand and firing.at <= reached[0]:
            return Fired.ALREADY
        return None

    def queues(self, firings: Sequence[Firing], *, otherwise: str) -> list[str]:
        """The queue of each firing: one without a task goes where its schedule is."""
        homes = {schedule: queue for schedule, (_, queue) in self._reached.items()}
        homes |= {each.schedule: each.task.queue for each in firings if each.task}
        return [
            each.task.queue if each.task else homes.get(each.schedule, otherwise)
            for each in firings
        ]


def _mark(schedule: str, raw: bytes | None, fires: Sequence[bytes]) -> Mark:
    if raw is None:
        return Mark(schedule)
    at, _, count = raw.partition(b":")
    return Mark(
        schedule, from_micros(int(at)) if at else None, int(count), tuple(map(_told, fires))
    )


def _told(raw: bytes) -> Fire:
    told = _fire(raw)
    return Fire(
        at=from_micros(told.at),
        recorded_at=from_micros(told.recorded_at),
        outcome=told.outcome,
        task_id=told.task_id if isinstance(told.task_id, str) else None,
        missed=told.missed,
        by_hand=told.by_hand,
    )


def _merged(marks_of_one: Sequence[Mark], kept: int) -> Mark:
    fires = [fire for mark in marks_of_one for fire in mark.fires]
    return Mark(
        marks_of_one[0].schedule,
        max((mark.at for mark in marks_of_one if mark.at is not None), default=None),
        sum(mark.count for mark in marks_of_one),
        tuple(sorted(fires, key=lambda each: each.recorded_at, reverse=True)[:kept]),
    )
