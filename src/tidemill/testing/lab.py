"""What an engine rule is given: a fresh engine, its clock, and short words for its verbs."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tidemill.clock import Clock, VirtualClock, from_micros, micros
from tidemill.engine import (
    ClaimRequest,
    Engine,
    Enqueued,
    Extension,
    Hold,
    TaskQuery,
    Transition,
)
from tidemill.outcome import Outcome, Settlement
from tidemill.task import DEFAULT_LEASE, DEFAULT_QUEUE, Claim, NewTask, State, Task
from tidemill.testing.builders import PLAIN_TYPE, new_task, numbered_id

MakeEngine = Callable[[Clock], Engine]
"""Makes an engine on a new, empty store that reads this clock; who calls it migrates and closes."""

NO_TIME = timedelta(0)
TICK = timedelta(microseconds=1)


class LabClock:
    """A virtual clock that can be set back, as the clock of a machine can."""

    def __init__(self) -> None:
        self._steady = VirtualClock()
        self._behind = NO_TIME

    def now(self) -> int:
        return self._steady.now() - micros(self._behind)

    def advance(self, by: timedelta) -> None:
        """Move forward by a duration, which must not be negative."""
        self._steady.advance(by)

    def set_back(self, by: timedelta) -> None:
        """Show an earlier time from now on."""
        self._behind += by


@dataclass(frozen=True, slots=True)
class Lab:
    """One engine under test, which knows no tasks yet, and the clock that it reads.

    Ids of tasks and claims are numbered, so that a failure reads the same every time.
    """

    engine: Engine
    clock: LabClock
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def beside(self) -> "Lab":
        """A lab for another session of the same engine, to be closed with `engine.close()`."""
        return Lab(self.engine.session(), self.clock, self._numbers)

    def now(self, later: timedelta = NO_TIME) -> datetime:
        """The clock's time, or one later (or earlier) than it."""
        return from_micros(self.clock.now()) + later

    def new(self, **options: Any) -> NewTask:
        """A plain task; of two, the one made later has the higher id."""
        return new_task(numbered_id(next(self._numbers)), **options)

    def claim_id(self) -> str:
        """A claim id that was never used before."""
        return numbered_id(0xC1A1_0000_0000 + next(self._numbers))

    async def enqueue(self, *tasks: NewTask) -> list[Enqueued]:
        """Enqueue one batch."""
        return await self.engine.enqueue(tasks)

    async def add(self, **options: Any) -> str:
        """Enqueue one plain task with these options; answers its id."""
        task = self.new(**options)
        assert await self.enqueue(task) == [Enqueued(task.id)]
        return task.id

    async def claim(self, limit: int = 100, **options: Any) -> list[Claim]:
        """Claim plain tasks of all queues with a new claim id; `options` are of `ClaimRequest`."""
        plain = {
            "claim_id": self.claim_id(),
            "worker": "w1",
            "queues": None,
            "task_types": frozenset({PLAIN_TYPE}),
        }
        return await self.engine.claim(ClaimRequest(limit=limit, **(plain | options)))

    async def claimed(self, limit: int = 100, **options: Any) -> list[str]:
        """Claim like `claim`; answers the ids only, in the order of the answer."""
        return [claim.ref.task_id for claim in await self.claim(limit, **options)]

    async def take(self, task_id: str, **options: Any) -> Claim:
        """Claim everything there is, which must be this one task (alone or not)."""
        claims = await self.claim(**({"alone": 1} | options))
        assert [claim.ref.task_id for claim in claims] == [task_id]
        return claims[0]

    async def start(self, **options: Any) -> Claim:
        """Enqueue one plain task with these options and claim it, alone in its queue."""
        queue = options.get("queue", DEFAULT_QUEUE)
        return await self.take(await self.add(**options), queues=(queue,))

    async def settle(self, claim: Claim, outcome: Outcome, **options: Any) -> State | None:
        """Settle one claim; `options` are fields of `Settlement`."""
        [answer] = await self.engine.settle([Settlement(claim.ref, outcome, **options)])
        return answer

    async def extend(self, claim: Claim, lease: timedelta = DEFAULT_LEASE, **options: Any) -> Hold:
        """Extend one claim; `options` are fields of `Extension`."""
        [answer] = await self.engine.extend([Extension(claim.ref, **options)], lease)
        return answer

    async def lose(self, claim: Claim, lease: timedelta = DEFAULT_LEASE) -> State:
        """Let the lease of the only running task pass and reclaim it, as if its worker died."""
        self.clock.advance(lease + TICK)
        [reclaimed] = await self.engine.reclaim(100)
        assert reclaimed.task_id == claim.ref.task_id
        return reclaimed.state

    async def find(self, **query: Any) -> list[Task]:
        """Find with details, on one page."""
        page = await self.engine.find(TaskQuery(**({"details": True, "limit": 1000} | query)))
        return list(page.tasks)

    async def found(self, **query: Any) -> list[str]:
        """Find; answers the ids only."""
        return [task.id for task in await self.find(**query)]

    async def task(self, task_id: str) -> Task:
        """One task with details, which must be there."""
        found = await self.find(ids=(task_id,))
        assert [task.id for task in found] == [task_id]
        return found[0]

    async def state(self, task_id: str) -> State | None:
        """A task's state, None when there is no such task."""
        found = await self.find(ids=(task_id,))
        return found[0].state if found else None

    async def states(self, *task_ids: str) -> list[State | None]:
        """The states of several tasks."""
        return [await self.state(task_id) for task_id in task_ids]

    async def feed(self, after: str = "") -> list[Transition]:
        """The whole feed after a cursor, read page by page."""
        told: list[Transition] = []
        while (page := await self.engine.feed(after, 1000, NO_TIME)).entries:
            told += page.entries
            after = page.cursor
        return told

    async def end_of_feed(self) -> str:
        """The cursor after the newest transition."""
        return (await self.engine.feed(None, 1, NO_TIME)).cursor

    async def causes(self, task_id: str, after: str = "") -> list[str]:
        """The causes that the feed names for one task, in order."""
        return [entry.cause for entry in await self.feed(after) if entry.task_id == task_id]
