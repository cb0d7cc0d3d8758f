"""What an engine tells of its queues when metrics are read.

It is of the engine, not of a process: every process that is asked tells the same, so that
dashboards take the highest, not the sum.
"""

import asyncio
import time
from typing import Final

from tidemill.app import Tidemill
from tidemill.engine import Stats
from tidemill.errors import TidemillError
from tidemill.metrics import Bounded, Family, Labels, Sample
from tidemill.task import State

FRESH: Final = 2.0
"""Seconds for which an answer of the engine serves: several readers cost as much as one."""

PATIENCE: Final = 5.0
"""Seconds that the engine has to answer; without its answer the other metrics are told."""

STATES: Final = (State.SCHEDULED, State.BLOCKED, State.PENDING, State.RUNNING)


class Queues:
    """Asks the engine how its queues stand."""

    def __init__(self, app: Tidemill) -> None:
        self._app = app
        self._asking = asyncio.Lock()
        self._told: list[Family] = []
        self._until = 0.0

    async def families(self) -> list[Family]:
        """Tasks by queue and state, and the age of each queue's longest-waiting one."""
        async with self._asking:
            if time.monotonic() >= self._until:
                self._told = await self._ask()
                self._until = time.monotonic() + FRESH
            return self._told

    async def _ask(self) -> list[Family]:
        try:
            async with asyncio.timeout(PATIENCE):
                engine = await self._app.engine()
                return [*queue_families(await engine.stats()), _answers(1)]
        except (TidemillError, TimeoutError):
            return [_answers(0)]


def queue_families(stats: Stats) -> list[Family]:
    """The families of one answer; final tasks are history, and not in them."""
    bounded = Bounded(("queue",))
    counts: dict[Labels, int] = {}
    for queue in stats.queues:
        name = bounded((queue.name,))[0]
        counts |= {(name, state.value): 0 for state in STATES}
    for each in stats.counts:
        if each.state in STATES:
            one = (*bounded((each.queue,)), each.state.value)
            counts[one] = counts.get(one, 0) + each.count
    ages: dict[Labels, float] = {}
    for queue in stats.queues:
        since = queue.oldest_pending_at
        age = 0.0 if since is None else max(0.0, (stats.at - since).total_seconds())
        place = bounded((queue.name,))
        ages[place] = max(age, ages.get(place, 0.0))
    return [
        Family(
            "tidemill_queue_tasks",
            "gauge",
            "Tasks of the engine by queue and state.",
            ("queue", "state"),
            tuple(Sample(place, count) for place, count in sorted(counts.items())),
            joined="max",
        ),
        Family(
            "tidemill_queue_oldest_seconds",
            "gauge",
            "How long the longest-waiting pending task has been due.",
            ("queue",),
            tuple(Sample(place, age) for place, age in sorted(ages.items())),
            joined="max",
        ),
    ]


def _answers(whether: int) -> Family:
    text = "1 while the engine answers who reads metrics, else 0."
    return Family("tidemill_engine_up", "gauge", text, (), (Sample((), whether),), joined="max")
