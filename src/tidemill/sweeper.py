"""Loops that keep an engine in order: promote, reclaim, prune, watch, look. Any node may run them.

An engine moves tasks only when it is asked to. Any number of sweepers may ask: each step is
atomic, and what one has done the others do not find any more.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

from tidemill.app import Tidemill
from tidemill.app.repeating import repeat
from tidemill.engine import Engine
from tidemill.events import QueueUnserved, TaskReclaimed, TaskTypeUnknown, WorkerLost
from tidemill.serving import Unserved, is_known, is_served, unserved
from tidemill.task import DEFAULT_LEASE
from tidemill.worker_record import WORKER, Unheard, WorkerRecord, described, forgetting

BATCH = 500
"""Tasks that one step handles at most, so that others get their turn at the engine."""

PROMOTE_WITHIN = 0.5
"""Seconds between looks at what is due: new delays may be shorter than those seen last."""

RECLAIM_WITHIN = timedelta(seconds=4)
"""Between looks at expired leases, so that a lost task is back within its lease + 5 s."""

WATCH_WITHIN = timedelta(seconds=3)
"""Between looks at the workers' records, so that a killed one is named within its lease."""

PRUNE_EVERY = 60.0
LOOK_EVERY = 30.0

News = QueueUnserved | TaskTypeUnknown


class Sweeper:
    """Promotes due tasks, reclaims expired leases, prunes, and looks after workers.

    It emits `TaskReclaimed`, `WorkerLost` for a worker that it was the first to find, and
    `QueueUnserved` and `TaskTypeUnknown` for what two looks in a row have found: workers that are
    just starting, or being replaced, are no news.
    """

    def __init__(self, app: Tidemill, *, lease: timedelta = DEFAULT_LEASE) -> None:
        self._app = app
        self._reclaim_every = min(lease / 3, RECLAIM_WITHIN).total_seconds()
        self._watch_every = min(lease / 10, WATCH_WITHIN).total_seconds()
        self._unheard = Unheard()
        self._seen: set[News] = set()
        self._told: set[News] = set()

    async def run(self) -> None:
        """Sweep until cancelled; raises the error of an engine that refuses."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(repeat(self._app, "promote", self._promote))
                group.create_task(repeat(self._app, "reclaim", self._reclaim))
                group.create_task(repeat(self._app, "prune", self._prune))
                group.create_task(repeat(self._app, "watch", self._watch))
                group.create_task(repeat(self._app, "stats", self._look))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

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

    async def _watch(self, engine: Engine) -> float:
        documents = await engine.documents(WORKER)
        found = self._unheard.look(documents, (await engine.marks([])).at)
        marked = await engine.put([put for put, _ in found]) if found else []
        for (_, lost), document in zip(found, marked, strict=True):
            if document is not None:
                self._app.bus.emit(WorkerLost(lost.name, lost.host, lost.pid, lost.running))
        return _about(self._watch_every)

    async def _look(self, engine: Engine) -> float:
        stats = await engine.stats()
        documents = await engine.documents(WORKER)
        live = [each.worker for each in described(documents, stats.at) if each.live]
        self._tell(_news_of(unserved(stats, live)), live)
        await engine.put(forgetting(documents, stats.at))
        return _about(LOOK_EVERY)

    def _tell(self, found: set[News], live: Sequence[WorkerRecord]) -> None:
        """Tell what was found before too and is not told yet; forget what is served again."""
        self._told = {each for each in self._told if not _is_over(each, live)}
        news = (found & self._seen) - self._told
        self._seen, self._told = found, self._told | news
        for each in sorted(news, key=str):
            self._app.bus.emit(each)


def _news_of(found: Unserved) -> set[News]:
    queues = (QueueUnserved(each.queue) for each in found.queues)
    return {*queues, *(TaskTypeUnknown(each.task_type, each.queue) for each in found.task_types)}


def _is_over(news: News, live: Sequence[WorkerRecord]) -> bool:
    match news:
        case QueueUnserved(queue=queue):
            return is_served(queue, live)
        case TaskTypeUnknown(task_type=task_type, queue=queue):
            return is_known(task_type, queue, live)


def _about(seconds: float) -> float:
    """Within 20 % of it, so that the sweepers of many nodes drift apart."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load; it keeps no secret
