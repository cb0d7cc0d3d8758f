"""The last stage: records outcomes, many at a time."""

import time
from collections.abc import Sequence
from datetime import timedelta

from tidemill.engine import Engine
from tidemill.events import Bus, TasksSettled
from tidemill.worker.belt import Belt
from tidemill.worker.chronicle import end_of
from tidemill.worker.decided import Decided, Settled, settlement
from tidemill.worker.insist import insist
from tidemill.worker.reports import Reports

BATCH = 500
"""Settlements in one call. While one is under way the next ones gather: no timer is needed."""


class Settler:
    """Settles what arrives on its belt, at once when idle and else as many as have gathered.

    During an outage it keeps them and repeats the call: the engine answers stale what it has given
    to others meanwhile.
    """

    def __init__(
        self, engine: Engine, bus: Bus, belt: Belt[Decided], reports: Reports, settled: Settled
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._belt = belt
        self._reports = reports
        self._settled = settled

    async def run(self) -> None:
        """Settle until cancelled."""
        while True:
            batch = await self._belt.take(BATCH)
            await self._settle(batch)
            self._belt.done(len(batch))

    async def _settle(self, batch: Sequence[Decided]) -> None:
        settlements = [settlement(run, verdict, self._reports) for run, verdict in batch]
        started = time.perf_counter()
        states = await insist("settle", lambda: self._engine.settle(settlements), self._bus)
        took = time.perf_counter() - started
        for (run, verdict), state in zip(batch, states, strict=True):
            self._settled(run, verdict.outcome, state)
        if self._bus.wanted(TasksSettled):
            ends = [
                end_of(run, verdict.outcome, state)
                for (run, verdict), state in zip(batch, states, strict=True)
            ]
            self._bus.emit(TasksSettled(tuple(ends), timedelta(seconds=took)))
