"""The controllers of a worker: one for each pool whose slots are found by measuring."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from tidemill.engine import Engine
from tidemill.errors import EngineError
from tidemill.events import Bus
from tidemill.settings import AUTO, WorkerSettings
from tidemill.worker.adaptive.controller import Controller
from tidemill.worker.adaptive.gauge import Gauge
from tidemill.worker.adaptive.measures import Bounds
from tidemill.worker.run import Pool, Run
from tidemill.worker.verdict import Verdict

START: Final = 10
"""Slots that a queue begins with."""

MOST: Final = {"loop": 1_000, "thread": 64}
"""Slots that a pool may come to have, by its name: all queues together, and each of them."""

LOOK = 0.5
"""Seconds between two looks at what ended."""

NAMES = 5.0
"""Seconds between looks for new queues, where a worker serves all of them."""


class Controllers:
    """Decides about the slots of pools; of none, when the settings fix the concurrency."""

    def __init__(
        self, settings: WorkerSettings, pools: Mapping[str, Pool], *, worker: str, bus: Bus
    ) -> None:
        self._settings = settings
        self._of: dict[Pool, Controller] = {}
        if settings.concurrency == AUTO:
            self._of = {
                pools[name]: Controller(
                    name,
                    pools[name].slots,
                    settings.queues,
                    Bounds(1, most),
                    worker=worker,
                    bus=bus,
                )
                for name, most in MOST.items()
            }

    def of(self, pool: Pool) -> Controller | None:
        """What decides about a pool's slots; None where they are fixed."""
        return self._of.get(pool)

    def meet(self, pool: Pool, queues: Iterable[str]) -> None:
        """Let a pool know queues that its task types go to, of those that the worker serves."""
        controller, served = self.of(pool), self._settings.queues
        if controller is not None:
            controller.meet([name for name in queues if served is None or name in served])

    def ended(self, run: Run, verdict: Verdict | None) -> None:
        """A run has left its pool; without a verdict its lease was lost."""
        controller = self._of.get(run.pool)
        if controller is not None:
            controller.ended(run, verdict)

    async def run(self, engine: Engine) -> None:
        """Look at the process and let each decide, until cancelled; none needs no look."""
        if not self._of:
            return
        clock = asyncio.get_running_loop().time
        gauge, at, named_at = Gauge(self._settings.max_memory_mib), clock(), clock()
        while True:
            health = await gauge.watch(LOOK)
            before, at = at, clock()
            for controller in self._of.values():
                controller.look(at - before, health)
            if self._settings.queues is None and at - named_at > NAMES:
                named_at = at
                await self._look_for_queues(engine)

    async def _look_for_queues(self, engine: Engine) -> None:
        with suppress(EngineError):  # the claimers tell of it
            names = [each.definition.name for each in (await engine.stats()).queues]
            for controller in self._of.values():
                controller.meet(names)
