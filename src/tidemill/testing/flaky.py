"""An engine that is unavailable on purpose: fault injection as an implementation of the seam."""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from tidemill.engine import (
    ClaimRequest,
    Document,
    Engine,
    EngineInfo,
    Enqueued,
    Extension,
    FeedPage,
    Fired,
    Firing,
    HistoryQuery,
    Hold,
    Mark,
    Marks,
    Promoted,
    Put,
    QueueDefinition,
    Reclaimed,
    Retrial,
    Stats,
    Tally,
    TaskPage,
    TaskQuery,
    Transaction,
)
from tidemill.errors import EngineUnavailable
from tidemill.outcome import Settlement
from tidemill.task import Claim, NewTask, State, Task

T = TypeVar("T")


class Fault(StrEnum):
    """When a call fails: before it happened, or after it did, so that its answer is lost."""

    BEFORE = "before"
    AFTER = "after"


Plan = Callable[[str], Fault | None]
"""Asked once for each call, by the verb's name, in the order of the calls."""


def at_random(seed: int, *, chance: float = 0.2, verbs: frozenset[str] | None = None) -> Plan:
    """A plan that fails calls with this chance, half of them after their effect.

    The same seed fails the same calls. `verbs`: only these fail; None means every verb.
    """
    source = random.Random(seed)  # noqa: S311  # a plan is repeatable, not secret

    def plan(verb: str) -> Fault | None:
        fault = source.choice((Fault.BEFORE, Fault.AFTER)) if source.random() < chance else None
        return fault if verbs is None or verb in verbs else None

    return plan


def scripted(**faults: Sequence[Fault | None]) -> Plan:
    """A plan that lists per verb what becomes of its calls; calls beyond a list succeed.

    `scripted(settle=[None, Fault.AFTER])` loses the answer of the second settle.
    """
    ahead = {verb: deque(listed) for verb, listed in faults.items()}

    def plan(verb: str) -> Fault | None:
        return ahead[verb].popleft() if ahead.get(verb) else None

    return plan


class FlakyEngine:
    """Passes calls on to an engine, and raises `EngineUnavailable` where a plan says so.

    Sessions share the plan. `info`, `session`, `transaction` and `close` never fail.
    """

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self._engine = engine
        self._plan = plan

    async def _call(self, verb: str, effect: Callable[[], Awaitable[T]]) -> T:
        fault = self._plan(verb)
        if fault is Fault.BEFORE:
            raise EngineUnavailable(f"{verb} was refused before it happened, as planned")
        answer = await effect()
        if fault is Fault.AFTER:
            raise EngineUnavailable(f"{verb} happened, but its answer was lost, as planned")
        return answer

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def session(self) -> Engine:
        return FlakyEngine(self._engine.session(), self._plan)

    async def close(self) -> None:
        await self._engine.close()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._engine.transaction()

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        return await self._call("enqueue", lambda: self._engine.enqueue(tasks, tx=tx))

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        return await self._call("claim", lambda: self._engine.claim(request))

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return await self._call("extend", lambda: self._engine.extend(extensions, lease))

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        return await self._call("settle", lambda: self._engine.settle(settlements, tx=tx))

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        await self._call("wait", lambda: self._engine.wait(queues, timeout))

    async def migrate(self) -> None:
        await self._call("migrate", self._engine.migrate)

    async def promote(self, limit: int) -> Promoted:
        return await self._call("promote", lambda: self._engine.promote(limit))

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        return await self._call("reclaim", lambda: self._engine.reclaim(limit))

    async def prune(self, limit: int) -> int:
        return await self._call("prune", lambda: self._engine.prune(limit))

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return await self._call("cancel", lambda: self._engine.cancel(ids, reason))

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return await self._call("retry", lambda: self._engine.retry(ids))

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return await self._call("remove", lambda: self._engine.remove(ids))

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._call("pause", lambda: self._engine.pause(queue, paused=paused))

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        await self._call("configure", lambda: self._engine.configure(queues))

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return await self._call("fire", lambda: self._engine.fire(firings))

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        return await self._call(
            "restore", lambda: self._engine.restore(tasks, marks=marks, tallies=tallies)
        )

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return await self._call("get", lambda: self._engine.get(kind, keys))

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        return await self._call("put", lambda: self._engine.put(puts))

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return await self._call("documents", lambda: self._engine.documents(kind, prefix))

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        return await self._call("marks", lambda: self._engine.marks(schedules, fires))

    async def history(self, query: HistoryQuery) -> list[Tally]:
        return await self._call("history", lambda: self._engine.history(query))

    async def find(self, query: TaskQuery) -> TaskPage:
        return await self._call("find", lambda: self._engine.find(query))

    async def stats(self) -> Stats:
        return await self._call("stats", self._engine.stats)

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        return await self._call("feed", lambda: self._engine.feed(after, limit, wait))
