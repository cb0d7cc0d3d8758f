"""What an application's own tests run its tasks with: a real engine, and time that stands still.

    async with Harness(app) as harness:
        handle = await send.enqueue(to="a@example.org")
        await harness.drain()
        assert await handle.result() == "sent"

Tasks run through the parts of the real worker (attempts, retries, middleware, resources, children,
settlements), one after the other in claim order, and only inside `drain` and `run_for`. There are
no other processes: what is declared with `isolation="process"` runs on the loop or on a thread.
Schedules, those that the application declares too, fire as time passes.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, Self, cast

from tidemill.app import Tidemill
from tidemill.clock import VirtualClock, from_micros
from tidemill.engine import ClaimRequest, Engine, Enqueued, Extension, Fired, Hold, TaskQuery
from tidemill.engines import open_engine
from tidemill.engines.sealed import sealed, stored
from tidemill.events import TaskProgressed, TaskStarted
from tidemill.ids import IdMaker
from tidemill.outcome import Outcome
from tidemill.scheduler import Scheduler
from tidemill.task import DEFAULT_LEASE, Claim, State, Task
from tidemill.task_type import TaskType
from tidemill.worker.batches import BatchPool
from tidemill.worker.belt import Belt
from tidemill.worker.chronicle import ending_of
from tidemill.worker.decided import Decided
from tidemill.worker.executor import Executor
from tidemill.worker.pools import LoopPool, ThreadPool
from tidemill.worker.ports import Shared
from tidemill.worker.reports import NOTHING, Report, Reports
from tidemill.worker.resources import Resources
from tidemill.worker.run import Pool, Run
from tidemill.worker.settler import Settler
from tidemill.worker.slots import Slots
from tidemill.worker.verdict import Ending

WORKER = "harness"
BATCH = 1_000
MOST_TASKS, MOST_ATTEMPTS = 10_000, 500
"""Tasks in one drain, and attempts of one of them, before the drain is taken for endless."""


class Harness:
    """Runs the tasks of an application in a test, without a worker and without waiting.

    `inline`: enqueueing runs what is due before it returns, as for code that has no place to
    drain. `concurrency` above 1 is for tasks that wait for each other. `url` may name another
    engine than `memory://`, such as SQLite for tasks that use `ctx.transaction()`.

    Delays, retries and expiry follow the harness's clock, which `advance` and `run_for` move;
    timeouts are measured in real time. What is due of a batch task type is one batch, up to its
    size. While the harness is open the application works on its
    engine, whatever its URL says.
    """

    def __init__(
        self,
        app: Tidemill,
        *,
        inline: bool = False,
        concurrency: int = 1,
        url: str = "memory://",
        clock: VirtualClock | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self._app = app
        self._inline = inline
        self._slots = Slots(concurrency)
        self._engine = sealed(open_engine(url, clock=self.clock), app.settings)
        self._ids = IdMaker()
        self._scheduler = Scheduler(app)
        self._resources = Resources()
        self._reports = Reports()
        self._held: dict[Run, None] = {}
        self._draining = False

    async def __aenter__(self) -> Self:
        """Open the engine and the application's resources."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._engine.close)
            await self._engine.migrate()
            await self._resources.open(self._app.resources)
            opening.push_async_callback(self._resources.close)
            self._open_stages(opening)
            self._app.use_engine(
                cast("Engine", _Seen(stored(self._engine), self)), clock=self.clock
            )
            opening.callback(self._app.use_engine, None)
            opening.push_async_callback(self._app.close)
            opening.push_async_callback(self._end_runs)
            await self._scheduler.catch_up()
            self._closing = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what was opened; tasks that have not run are gone."""
        await self._closing.aclose()

    def _open_stages(self, opening: AsyncExitStack) -> None:
        shared = Shared(
            self._loop,
            self._engine,
            self._resources,
            self._reports,
            tracing=self._app.tracing,
        )
        self._on_loop = LoopPool(self._slots, shared, self._app.middleware)
        self._on_thread = ThreadPool(self._slots, shared, self._app.middleware)
        opening.push_async_callback(self._on_thread.close)
        self._batches = {
            task_type.name: BatchPool(task_type, task_type.batch, shared)
            for task_type in self._app.task_types.values()
            if task_type.batch is not None
        }
        for pool in self._batches.values():
            pool.hurry()
            opening.push_async_callback(pool.close)
        belt: Belt[Decided] = Belt(BATCH)
        self._executor = Executor(
            self._engine,
            belt,
            self._reports,
            settled=self._settled,
            dropped=self._forget,
            overdue=self._forget,
        )
        opening.callback(self._executor.close)
        settler = Settler(self._engine, self._app.bus, belt, self._reports, self._settled)
        self._settling = asyncio.create_task(settler.run())
        self._settling.add_done_callback(lambda _: self._changed.set())
        opening.callback(self._settling.cancel)
        self._reports.when_first(self._wake)

    async def _end_runs(self) -> None:
        """End what a drain left behind that was itself cut off."""
        left = list(self._held)
        for run in left:
            run.end(Ending.DRAIN)
        bodies = [run.body for run in left if run.body and run.task_type.is_async]
        await asyncio.gather(*bodies, return_exceptions=True)

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)

    def now(self) -> datetime:
        """The time that the engine sees."""
        return from_micros(self.clock.now())

    async def tasks(
        self, *, state: State | None = None, task_type: str | None = None
    ) -> list[Task]:
        """The tasks that there are, in the order of enqueueing, with payload, attempts and logs."""
        found: list[Task] = []
        cursor = None
        while True:
            page = await self._engine.find(
                TaskQuery(
                    states=frozenset({state} if state else ()),
                    task_types=frozenset({task_type} if task_type else ()),
                    before=cursor,
                    limit=BATCH,
                    details=True,
                )
            )
            found += page.tasks
            cursor = page.cursor
            if cursor is None:
                return found[::-1]

    async def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Move time and make ready what became due, without running it.

        As a timedelta, or in its terms: `await harness.advance(hours=1)`. Schedules fire at each of
        their instants on the way.
        """
        end = self.now() + (by or timedelta(**units))
        while (at := await self._next_fire()) is not None and at <= end:
            self.clock.advance(at - self.now())
        self.clock.advance(end - self.now())
        await self._promote()

    async def drain(self) -> None:
        """Run what is due now, and what that enqueues, until nothing is pending or running.

        What is due later stays scheduled. Raises RuntimeError when it does not come to an end.
        """
        if self._draining:
            raise RuntimeError("a drain is under way already: a task cannot drain its own harness")
        self._draining = True
        try:
            await self._drain()
        finally:
            self._draining = False

    async def run_for(self, by: timedelta | None = None, **units: float) -> None:
        """Let time pass and run each task when it is due: delays, retries, snoozes, schedules."""
        end = self.now() + (by or timedelta(**units))
        while True:
            await self.drain()
            due = [at for at in (await self._next_due(), await self._next_fire()) if at is not None]
            if not due or min(due) > end:
                await self.advance(end - self.now())
                return
            await self.advance(min(due) - self.now())

    async def _drain(self) -> None:
        started: Counter[str] = Counter()
        while True:
            await self._promote()
            claims = await self._claim()
            started.update(claim.ref.task_id for claim in claims)
            if len(started) > MOST_TASKS or max(started.values(), default=0) > MOST_ATTEMPTS:
                [(_, attempts)] = started.most_common(1)
                raise RuntimeError(
                    f"{len(started):,} tasks ran, one of them {attempts} times, and there is still "
                    "more to run: does a task snooze or enqueue itself without a delay?"
                )
            self._start(claims)
            if not self._held:
                return
            await self._changed.wait()
            self._changed.clear()
            if self._settling.done():
                self._settling.result()
            await self._extend()

    async def _next_fire(self) -> datetime | None:
        """Fire what is due; answers when something is again."""
        await self._scheduler.catch_up()
        return self._scheduler.next_at

    async def _next_due(self) -> datetime | None:
        next_in = (await self._engine.promote(BATCH)).next_in
        return None if next_in is None else self.now() + next_in

    async def _promote(self) -> None:
        while (await self._engine.promote(BATCH)).moved:
            pass

    async def _claim(self) -> list[Claim]:
        singly = frozenset(self._app.task_types) - self._batches.keys()
        claims = await self._claim_for(self._slots, singly)
        for name, pool in self._batches.items():
            claims += await self._claim_for(pool.slots, frozenset({name}))
        return claims

    async def _claim_for(self, slots: Slots, task_types: frozenset[str]) -> list[Claim]:
        if slots.free <= 0:
            return []
        return await self._engine.claim(
            ClaimRequest(
                claim_id=self._ids.make(),
                worker=WORKER,
                queues=None,
                task_types=task_types,
                limit=slots.free,
                alone=slots.free,
            )
        )

    def _start(self, claims: list[Claim]) -> None:
        for claim in claims:
            task_type = self._app.task_types[claim.task_type]
            run = Run(claim, task_type, self._pool_of(task_type))
            self._held[run] = None
            self._executor.start([run])
            self._app.bus.emit(
                TaskStarted(claim.ref.task_id, claim.task_type, claim.queue, claim.attempt, WORKER)
            )

    def _pool_of(self, task_type: TaskType) -> Pool:
        if task_type.batch is not None:
            return self._batches[task_type.name]
        return self._on_loop if task_type.is_async else self._on_thread

    async def _extend(self) -> None:
        """Bring the engine what runs have reported, and tell them that they are cancelled."""
        reports, runs = self._reports.take(), list(self._held)
        try:
            holds = await self._engine.extend(
                [_extension(run, reports.get(run, NOTHING)) for run in runs], DEFAULT_LEASE
            )
        except BaseException:
            self._reports.returned()
            raise
        self._reports.arrived()
        for run, hold in zip(runs, holds, strict=True):
            claim, report = run.claim, reports.get(run)
            if hold is Hold.CANCEL:
                run.end(Ending.CANCEL)
            if report is not None and report.progress is not None:
                self._app.bus.emit(
                    TaskProgressed(claim.ref.task_id, claim.task_type, claim.queue, report.progress)
                )

    def _settled(self, run: Run, outcome: Outcome, state: State | None) -> None:
        self._forget(run)
        self._app.bus.emit(ending_of(run, outcome, state, WORKER))

    def _forget(self, run: Run) -> None:
        self._held.pop(run, None)
        self._changed.set()

    # what the application's own calls cause

    async def enqueued(self) -> None:
        """Tasks were enqueued, on whatever loop: inline they run before their maker goes on."""
        if self._draining:
            self._wake()
        elif not self._inline:
            return
        elif asyncio.get_running_loop() is self._loop:
            await self.drain()
        else:
            there = asyncio.run_coroutine_threadsafe(self.drain(), self._loop)
            await asyncio.wrap_future(there)

    def cancelled(self) -> None:
        """Somebody asked for a cancel: running tasks hear of it."""
        self._wake()


class _Seen:
    """The engine as the application sees it: the harness notices what is enqueued and cancelled."""

    def __init__(self, engine: Engine, harness: Harness) -> None:
        self._engine = engine
        self._harness = harness

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._engine, verb)

    def session(self) -> "_Seen":
        return _Seen(self._engine.session(), self._harness)

    async def enqueue(self, tasks: Any, *, tx: object | None = None) -> list[Enqueued]:
        answers = await self._engine.enqueue(tasks, tx=tx)
        if tx is None:
            await self._harness.enqueued()
        return answers

    async def fire(self, firings: Any) -> list[Fired]:
        answers = await self._engine.fire(firings)
        await self._harness.enqueued()
        return answers

    async def cancel(self, ids: Any, reason: str = "") -> list[State | None]:
        answers = await self._engine.cancel(ids, reason)
        self._harness.cancelled()
        return answers


def _extension(run: Run, report: Report) -> Extension:
    return Extension(run.claim.ref, report.progress, tuple(report.logs))
