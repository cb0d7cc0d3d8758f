"""Somebody who enqueues all the time, and does not give up a batch before it is acknowledged."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.app import NAP
from tests.chaos.facts import LOOK_EVERY
from tests.chaos.stage import Stage
from tidemill import Engine, EngineUnavailable


@dataclass(frozen=True, slots=True)
class Ack:
    """A batch that the engine accepted, and the call that it answered: monotonic nanoseconds."""

    asked: int
    told: int
    ids: Sequence[str]


@dataclass(slots=True)
class Producer:
    """Enqueues over a session of its own; `raised` are the instants of `EngineUnavailable`."""

    on: Stage
    session: Engine
    acks: list[Ack] = field(default_factory=list)
    raised: list[int] = field(default_factory=list)

    async def put(self, naps: Sequence[float]) -> None:
        """Enqueue one task per duration, again with the same ids until somebody has them."""
        nap = self.on.app.function(NAP)
        tasks = [nap.call(seconds=each).new_task() for each in naps]
        while True:
            asked = time.monotonic_ns()
            try:
                await self.session.enqueue(tasks)
            except EngineUnavailable:
                self.raised.append(time.monotonic_ns())
                await asyncio.sleep(LOOK_EVERY)
            else:
                break
        self.acks.append(Ack(asked, time.monotonic_ns(), [task.id for task in tasks]))
        self.on.accepted += self.acks[-1].ids

    def answered(self, ends: Sequence[int]) -> list[float]:
        """Seconds from each of these instants to the next acknowledgement, where there was one."""
        nexts = [next((ack.told for ack in self.acks if ack.told > end), None) for end in ends]
        return [(told - end) / 1e9 for told, end in zip(nexts, ends, strict=True) if told]
