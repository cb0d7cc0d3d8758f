"""A look into the fleet: `app.inspect()`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from tidemill.app import statistics
from tidemill.engine import TaskQuery
from tidemill.statistics import QueueStatistics
from tidemill.task import State, Task
from tidemill.task_type import TaskType
from tidemill.worker_record import WORKER, HeldTask, WorkerInfo, described

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

PAGE: Final = 500


class FleetStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Queues and live workers in numbers.

    `counts` has every state, zeros included. `slots` and `used` are of all pools of all workers.
    `cpu` adds up per cents of one core, `memory` bytes; `running` is how many tasks workers hold.
    """

    at: datetime
    counts: dict[State, int]
    queues: tuple[QueueStatistics, ...]
    workers: int
    lost: int
    running: int
    slots: int
    used: int
    cpu: float
    memory: int


class RegisteredType(msgspec.Struct, frozen=True, kw_only=True):
    """A task type, and the live workers that run it.

    `queue` and the options are those that the application here declares; they are None for a type
    that only workers know, and `workers` is empty for one that none knows. Durations are
    `timedelta`.
    """

    name: str
    workers: tuple[str, ...]
    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    timeout: timedelta | None = None
    soft_timeout: timedelta | None = None
    isolation: str | None = None
    batch_size: int | None = None


class Inspect:
    """What runs, what waits for its time, and who runs it. Lists may be of one queue.

    Tasks are told as the engine has them; what a worker holds back, as it said within the last
    seconds.
    """

    def __init__(self, app: "Tidemill") -> None:
        self._app = app

    async def active(self, queue: str | None = None, *, limit: int = 1_000) -> list[Task]:
        """The tasks that run, the longest running first; `limit` bounds how many are looked at."""
        reserved = {each.id for each in await self._reserved(queue)}
        running = await self._found(State.RUNNING, queue, limit)
        return sorted((each for each in running if each.id not in reserved), key=_started)

    async def reserved(self, queue: str | None = None) -> list[Task]:
        """The tasks that a worker has claimed and not begun; up to 100 of each worker.

        They wait there for their batch to fill, or for a thread or a child process.
        """
        ids = tuple(each.id for each in await self._reserved(queue))
        engine = await self._app.engine()
        found: list[Task] = []
        for start in range(0, len(ids), PAGE):
            some = ids[start : start + PAGE]
            page = await engine.find(TaskQuery(ids=some, limit=len(some)))
            found += [each for each in page.tasks if each.state is State.RUNNING]
        return sorted(found, key=_started)

    async def scheduled(self, queue: str | None = None, *, limit: int = 1_000) -> list[Task]:
        """The tasks that wait for their instant, the next one first.

        Of more than `limit` (delayed ones and those between two attempts) the newest are told.
        """
        return sorted(
            await self._found(State.SCHEDULED, queue, limit),
            key=lambda task: (task.run_at, task.id),
        )

    async def stats(self, queue: str | None = None) -> FleetStatistics:
        """Queues and live workers in numbers; raises `QueueNotFound` for a queue that is none."""
        engine = await self._app.engine()
        stats = await engine.stats()
        counts = dict.fromkeys(State, 0)
        for each in stats.counts:
            if queue in (None, each.queue):
                counts[each.state] += each.count
        known = described(await engine.documents(WORKER), stats.at)
        found = [each for each in known if queue is None or each.worker.serves(queue)]
        live = [each.worker for each in found if each.live]
        slots = [use for each in live for use in each.slots.values()]
        return FleetStatistics(
            at=stats.at,
            counts=counts,
            queues=tuple(await statistics.queues(engine, queue)),
            workers=len(live),
            lost=len(found) - len(live),
            running=sum(each.running for each in live),
            slots=sum(use.size for use in slots),
            used=sum(use.used for use in slots),
            cpu=sum(each.cpu or 0 for each in live),
            memory=sum(each.memory or 0 for each in live),
        )

    async def workers(self, queue: str | None = None) -> list[WorkerInfo]:
        """The worker processes by name, or those of a queue; lost ones for an hour."""
        return [
            each for each in await self._app.workers() if queue is None or each.worker.serves(queue)
        ]

    async def registered(self, queue: str | None = None) -> list[RegisteredType]:
        """The task types by name: what the application declares, and what live workers know."""
        knowing: dict[str, list[str]] = {name: [] for name in self._app.task_types}
        for each in await self.workers():
            if each.live:
                for name in each.worker.task_types:
                    knowing.setdefault(name, []).append(each.worker.name)
        types = [self._registered(name, tuple(who)) for name, who in sorted(knowing.items())]
        return [each for each in types if queue in (None, each.queue)]

    def _registered(self, name: str, workers: tuple[str, ...]) -> RegisteredType:
        declared: Mapping[str, TaskType] = self._app.task_types
        if name not in declared:
            return RegisteredType(name=name, workers=workers)
        told = declared[name]
        return RegisteredType(
            name=name,
            workers=workers,
            queue=self._app.queue_of(name),
            priority=told.priority,
            max_attempts=told.max_attempts,
            timeout=told.timeout,
            soft_timeout=told.soft_timeout,
            isolation=told.isolation,
            batch_size=told.batch.size if told.batch else None,
        )

    async def _reserved(self, queue: str | None) -> list[HeldTask]:
        return [
            task
            for each in await self._app.workers()
            if each.live
            for task in each.worker.tasks
            if task.ran_for is None and queue in (None, task.queue)
        ]

    async def _found(self, state: State, queue: str | None, limit: int) -> list[Task]:
        engine = await self._app.engine()
        query = TaskQuery(
            states=frozenset({state}),
            queues=frozenset(() if queue is None else (queue,)),
            limit=min(limit, PAGE),
        )
        found: list[Task] = []
        while True:
            page = await engine.find(query)
            found += page.tasks
            if page.cursor is None or len(found) >= limit:
                return found[:limit]
            query = msgspec.structs.replace(query, before=page.cursor)


def _started(task: Task) -> tuple[datetime, str]:
    return task.started_at or task.run_at, task.id
