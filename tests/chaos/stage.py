"""What every campaign needs: a store, its application, workers, and somebody who reads the feed."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos import ledger
from tests.chaos.app import NAP, Plan, build
from tests.chaos.facts import insisted
from tests.chaos.history import History, Outage
from tests.chaos.report import Ticker
from tests.chaos.workers import Crew
from tidemill import Engine, State, Task, TaskQuery, Tidemill, Transition
from tidemill.task import DEFAULT_QUEUE, NewTask

BATCH = 500
LIVE = {State.SCHEDULED, State.BLOCKED, State.PENDING, State.RUNNING}


@dataclass(slots=True)
class Stage:
    """One campaign under way."""

    folder: Path
    plan: Plan
    app: Tidemill
    engine: Engine
    crew: Crew
    ticker: Ticker
    epoch: int = field(default_factory=lambda: time.time_ns() - time.monotonic_ns())
    accepted: list[str] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    feed: list[Transition] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    cut: bool = False
    _cursor: str = ""
    _done: asyncio.Event = field(default_factory=asyncio.Event)
    _following: asyncio.Task[None] | None = None

    def follow(self) -> None:
        """Start to collect the feed from its beginning."""
        self._following = asyncio.create_task(self._follow())

    async def caught_up(self) -> None:
        """Read the feed to its end, now that nobody adds to it."""
        self._done.set()
        if self._following is not None:
            await self._following

    async def leave(self) -> None:
        """Read the feed no further."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        session, more = self.engine.session(), True
        try:
            while more or not self._done.is_set():
                more = await insisted(partial(self._turn_page, session))
        finally:
            await session.close()

    async def _turn_page(self, session: Engine) -> bool:
        wait = timedelta(seconds=0 if self._done.is_set() else 0.2)
        page = await session.feed(self._cursor, 1_000, wait)
        self._cursor = page.cursor
        self.feed += page.entries
        self.causes.update(entry.cause for entry in page.entries)
        self.cut = self.cut or page.cut
        return bool(page.entries)

    async def naps(self, seconds: Sequence[float]) -> list[str]:
        """Enqueue one task per duration; answers their ids, which are accepted from then on."""
        nap = self.app.function(NAP)
        made: list[str] = []
        for start in range(0, len(seconds), BATCH):
            batch = [{"seconds": each} for each in seconds[start : start + BATCH]]
            made += [handle.id for handle in await nap.enqueue_many(batch)]
        self.accepted += made
        return made

    def new(
        self, seconds: float, *, name: str = NAP, queue: str = DEFAULT_QUEUE, **fields: Any
    ) -> NewTask:
        """A task that takes so long, not yet enqueued; `fields` are those of `NewTask`."""
        call = self.app.function(name).options(queue=queue).call(seconds=seconds)
        return msgspec.structs.replace(call.new_task(), **fields)

    async def enqueue(self, tasks: Sequence[NewTask], batch: int = BATCH) -> list[str]:
        """Enqueue tasks, so many in one step; answers their ids, accepted from then on."""
        for start in range(0, len(tasks), batch):
            await self.engine.enqueue(tasks[start : start + batch])
        ids = [task.id for task in tasks]
        self.accepted += ids
        return ids

    async def counts(self) -> Counter[State]:
        """How many tasks are in which state, as the engine counts them."""
        counts: Counter[State] = Counter()
        for count in (await insisted(self.engine.stats)).counts:
            counts[count.state] += count.count
        return counts

    async def all_final(self) -> bool:
        """Whether no task has anything before it."""
        counts = await self.counts()
        return not any(counts[state] for state in LIVE)

    async def drained(self, patience: float, total: int, text: str = "") -> bool:
        """Wait until every task is final; False when that took longer than `patience` seconds."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.ticker.tell((await self.counts())[State.COMPLETED], total, text)
            if await self.all_final():
                return True
            await asyncio.sleep(0.1)
        return False

    async def tasks(self, ids: Sequence[str], *, details: bool = False) -> dict[str, Task]:
        """The records of tasks."""
        found: dict[str, Task] = {}
        for start in range(0, len(ids), BATCH):
            part = tuple(ids[start : start + BATCH])
            page = await self.engine.find(TaskQuery(ids=part, limit=BATCH, details=details))
            found |= {task.id: task for task in page.tasks}
        return found

    def read(self) -> list[ledger.Entry]:
        """What the tasks wrote down so far."""
        return ledger.read(Path(self.plan.ledger))

    async def history(self) -> History:
        """Everything known, once the workers are gone."""
        await self.caught_up()
        return History(
            accepted=self.accepted,
            feed=self.feed,
            ledger=self.read(),
            tasks=await self.tasks(self.accepted),
            killed={pid: kill.at for kill in self.crew.kills for pid in kill.pids},
            outages=self.outages,
            max_attempts=self.plan.max_attempts,
            epoch=self.epoch,
        )

    def keep(self, history: History) -> None:
        """Write the history beside the store, for whoever looks for the reason."""
        encode = msgspec.json.encode
        lines = [encode({"feed": entry}) for entry in history.feed]
        lines += [encode({"ledger": entry}) for entry in history.ledger]
        lines += [encode({"task": task}) for task in history.tasks.values()]
        (self.folder / "history.jsonl").write_bytes(b"\n".join(lines))


@asynccontextmanager
async def stage(
    folder: Path, name: str, url: str, *, quiet: bool = False, **plan: Any
) -> AsyncIterator[Stage]:
    """A stage on an empty store; in the end its workers are gone and its engine is closed."""
    fixed = {"url": url, "ledger": str(folder / "ledger"), "conductor": os.getpid()}
    made = msgspec.convert({**fixed, **plan}, Plan)
    app = build(made)
    engine = await app.engine()
    crew, ticker = Crew(folder, made), Ticker(name, quiet)
    on = Stage(folder, made, app, engine, crew, ticker)
    on.follow()
    try:
        yield on
    finally:
        ticker.close()
        await crew.close()
        await on.leave()
        await app.close()
