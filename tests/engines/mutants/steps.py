"""Engines whose verbs are not one step, or decide wrongly in it."""

from collections.abc import Sequence

import msgspec

from tidemill.engine import ClaimRequest, Enqueued, Retrial
from tidemill.engines.memory import MemoryEngine
from tidemill.outcome import Completed, Failed, Settlement
from tidemill.task import Claim, NewTask, State


class BatchNotAtomic(MemoryEngine):
    """Enqueues one task after another."""

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        answers = []
        for task in tasks:
            answers += await super().enqueue([task], tx=tx)
        return answers


class CancelLosesToRetry(MemoryEngine):
    """Forgets a requested cancel when the attempt fails."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        for each in settlements:
            record = self._books.records.get(each.claim.task_id)
            if record and record.held_by(each.claim):
                record.cancel_requested = False
        return await super().settle(settlements, tx=tx)


class CancelBeatsCompleted(MemoryEngine):
    """Throws away the result of a task that was done before it heard of the cancel."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        answers = await super().settle(settlements, tx=tx)
        for position, each in enumerate(settlements):
            record = self._books.records.get(each.claim.task_id)
            ended = isinstance(each.outcome, Completed | Failed)
            if record and ended and record.cancel_requested and answers[position] is not None:
                record.state, record.result, record.error = State.CANCELLED, None, None
                answers[position] = record.state
        return answers


class CancelledStillEnqueues(MemoryEngine):
    """Makes the children of an outcome that a cancel overruled."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        answers = await super().settle(settlements, tx=tx)
        for each, answer in zip(settlements, answers, strict=True):
            if answer is State.CANCELLED:
                await self.enqueue(each.enqueue)
        return answers


class SecondEnqueueOverwrites(MemoryEngine):
    """The last caller of an id wins."""

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        answers = await super().enqueue(tasks, tx=tx)
        for task in tasks:
            if task.id in self._books.records:
                self._books.records[task.id].new = task
        return answers


class RetryIgnoresTheKey(MemoryEngine):
    """A manual retry makes a second holder of a unique key."""

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        self._books.keys.clear()
        return await super().retry(ids)


class UnknownTypesClaimed(MemoryEngine):
    """Gives workers tasks that they cannot run."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        every_type = frozenset(each.new.task_type for each in self._books.records.values())
        return await super().claim(msgspec.structs.replace(request, task_types=every_type))


class ExpiryIgnored(MemoryEngine):
    """Starts what is too late to start."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        for record in self._books.by_state[State.PENDING].values():
            record.new = msgspec.structs.replace(record.new, expires_at=None)
        return await super().claim(request)


class PauseIgnored(MemoryEngine):
    """Claims from paused queues when they are named."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        if request.queues is not None:
            for name in request.queues:
                await self.pause(name, paused=False)
        return await super().claim(request)


class TurnsForgotten(MemoryEngine):
    """Starts the rotation over queues again with each claim."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        for queue in self._books.queues.values():
            queue.passed = 0
        self._books.rotated = 0
        return await super().claim(request)


class QueueAfterQueue(MemoryEngine):
    """Handles a batch queue by queue, whatever its order."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        answers: list[State | None] = [None] * len(settlements)
        by_queue = sorted(range(len(settlements)), key=lambda n: settlements[n].claim.queue)
        for n in by_queue:
            [answers[n]] = await super().settle([settlements[n]], tx=tx)
        return answers
