"""The loops that keep an engine in order: promote, reclaim, prune. Safe on every node at once.

An engine moves tasks only when it is asked to. Any number of sweepers may ask: each step is
atomic, and what one has done the others do not find any more.
"""

import asyncio
import random
from datetime import timedelta

from tidemill.app import Tidemill
from tidemill.app.repeating import repeat
from tidemill.engine import Engine
from tidemill.events import TaskReclaimed, TaskTypeUnknown
from tidemill.task import DEFAULT_LEASE, State

BATCH = 500
"""Tasks that one step handles at most, so that others get their turn at the engine."""

PROMOTE_WITHIN = 0.5
"""Seconds between looks at what is due: new delays may be shorter than those seen last."""

RECLAIM_WITHIN = timedelta(seconds=4)
"""Between looks at expired leases, so that a lost task is back within its lease + 5 s."""

PRUNE_EVERY = 60.0
LOOK_EVERY = 30.0


class Sweeper:
    """Promotes due tasks, reclaims expired leases, prunes, and looks for unknown task types.

    It emits `TaskReclaimed`, and `TaskTypeUnknown` once for each type and queue with pending tasks
    that this application has not declared.
    """

    def __init__(self, app: Tidemill, *, lease: timedelta = DEFAULT_LEASE) -> None:
        self._app = app
        self._reclaim_every = min(lease / 3, RECLAIM_WITHIN).total_seconds()
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat(self._app, "promote", self._promote))
            group.create_task(repeat(self._app, "reclaim", self._reclaim))
            group.create_task(repeat(self._app, "prune", self._prune))
            group.create_task(repeat(self._app, "stats", self._look))

    async def _promote(self, engine: Engine) -> float:
        promoted = await engine.promote(BATCH)
        if promoted.moved >= BATCH:
            return 0
        if promoted.next_in is None:
            return PROMOTE_WITHIN
        return min(PROMOTE_WITHIN, promoted.next_in.total_seconds())

    async def _reclaim(self, engine: Engine) -> float:
        reclaimed = await engine.reclaim(BATCH)
        for each in reclaimed:
            self._app.bus.emit(
                TaskReclaimed(each.task_id, each.task_type, each.queue, each.worker, each.state)
            )
        return 0 if len(reclaimed) >= BATCH else _about(self._reclaim_every)

    async def _prune(self, engine: Engine) -> float:
        pruned = await engine.prune(BATCH)
        # A pause in which others write, also while there is much to prune: 5,000 tasks a second.
        return 0.1 if pruned >= BATCH else _about(PRUNE_EVERY)

    async def _look(self, engine: Engine) -> float:
        for each in (await engine.stats()).counts:
            place = (each.task_type, each.queue)
            unknown = each.state is State.PENDING and each.task_type not in self._app.task_types
            if unknown and place not in self._told:
                self._told.add(place)
                self._app.bus.emit(TaskTypeUnknown(*place))
        return _about(LOOK_EVERY)


def _about(seconds: float) -> float:
    """Within 20 % of it, so that the sweepers of many nodes drift apart."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load; it keeps no secret
