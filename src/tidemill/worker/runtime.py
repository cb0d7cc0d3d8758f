"""The worker: joins the stages, and takes them through start, work and drain.

engine ─claim→ Claimer (one per pool) ─→ Executor ─belt→ Settler ─settle→ engine
                                            │ held runs
                                        Heartbeat ─extend→ engine
"""

import asyncio
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from tidemill.app import Tidemill
from tidemill.app.declared_queues import reconcile_queues
from tidemill.engine import ClaimRequest, Engine, Hold
from tidemill.events import (
    LeaseLost,
    TaskProgressed,
    TasksSettled,
    TaskStarted,
    WorkerDraining,
    WorkerStarted,
    WorkerStopped,
)
from tidemill.outcome import Outcome, Released
from tidemill.settings import AUTO, WorkerSettings
from tidemill.task import Claim, State
from tidemill.task_type import TaskType
from tidemill.worker.adaptive import Controllers
from tidemill.worker.belt import Belt
from tidemill.worker.chronicle import KIND_OF, end_of, ending_of
from tidemill.worker.claimer import Claimer
from tidemill.worker.decided import Decided
from tidemill.worker.executor import Executor
from tidemill.worker.gauges import gauges
from tidemill.worker.heartbeat import Answers, Heartbeat
from tidemill.worker.insist import insist
from tidemill.worker.memory import watch_memory
from tidemill.worker.places import Pools, open_pools
from tidemill.worker.ports import Shared
from tidemill.worker.presence import Presence
from tidemill.worker.reports import Reports
from tidemill.worker.resources import Resources
from tidemill.worker.run import Pool, Run
from tidemill.worker.settler import Settler
from tidemill.worker.verdict import Ending, Verdict

UNSETTLED = 2_000
"""Verdicts that may wait for the engine before a worker claims no more."""

RELEASE_TIME = 5.0
"""Seconds that a drained worker waits for what it has ended by force to be handed back."""


class Worker:
    """Runs an application's tasks in this process: on its loop, its threads and child processes.

    `name` tells this process from all others, also from an earlier one with the same process id.
    `own` are async task types of Tidemill itself: beside the application's they have their own
    slots and no middleware, and of the worker's queues only those that they name. One worker runs
    once.
    """

    def __init__(
        self,
        app: Tidemill,
        settings: WorkerSettings | None = None,
        *,
        name: str | None = None,
        own: Sequence[TaskType] = (),
    ) -> None:
        self._app = app
        self._settings = settings or app.settings.worker
        queues = self._settings.queues
        self._own = {each.name: each for each in own if queues is None or each.queue in queues}
        self.name = name or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.recycle = False
        self._held: dict[Run, None] = {}
        self._reports = Reports()
        self._claimed = 0
        self._released = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining = asyncio.Event()
        self._changed = asyncio.Event()
        self._reason = ""
        self._deadline = math.inf

    @property
    def running(self) -> int:
        """How many claims it holds."""
        return len(self._held)

    @property
    def draining(self) -> bool:
        """Whether it claims no more."""
        return self._draining.is_set()

    def drain(self, reason: str = "", *, grace: timedelta | None = None) -> None:
        """Claim no more, let tasks finish within `grace` (else the settings'), release the rest.

        Safe to call from any thread, and again: the earliest end of grace holds.
        """
        seconds = (self._settings.grace if grace is None else grace).total_seconds()
        if self._loop is None:
            self._drain(reason, seconds)
        else:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._drain, reason, seconds)

    def _drain(self, reason: str, seconds: float) -> None:
        self._reason = self._reason or reason
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        self._draining.set()
        self._changed.set()

    def _drain_to_recycle(self, reason: str) -> None:
        """Drain for a fresh process.

        What runs may take its time: cut off at each replacement, a long task would never complete.
        """
        self.recycle = True
        self._drain(reason, math.inf)

    async def run(self) -> None:
        """Work until drained. `recycle` says then whether a fresh process should follow.

        Raises `ConfigError` for an application that cannot be run so, and the error of an engine
        that refuses. Cancelling it drains without grace.
        """
        self._loop = asyncio.get_running_loop()
        engine = await self._unless_drained(insist("open", self._opened, self._app.bus))
        if engine is None:
            return
        resources = Resources()
        await resources.open(self._app.resources)
        try:
            await self._work(engine, resources)
        finally:
            await resources.close()

    async def _opened(self) -> Engine:
        """The engine, with the queues as the application declares them before anything starts."""
        engine = await self._app.engine()
        await reconcile_queues(self._app, engine)
        return engine

    async def _unless_drained(self, opening: Coroutine[Any, Any, Engine]) -> Engine | None:
        opened = asyncio.ensure_future(opening)
        drained = asyncio.ensure_future(self._draining.wait())
        try:
            await asyncio.wait({opened, drained}, return_when=asyncio.FIRST_COMPLETED)
            return opened.result() if opened.done() else None
        finally:
            drained.cancel()
            opened.cancel()

    async def _work(self, engine: Engine, resources: Resources) -> None:
        bus, settings = self._app.bus, self._settings
        loop, tracing = asyncio.get_running_loop(), self._app.tracing
        shared = Shared(loop, engine, resources, self._reports, self.name, tracing)
        belt: Belt[Decided] = Belt(UNSETTLED)
        pools = open_pools(self._app, settings, shared)
        controllers = Controllers(
            settings, {"loop": pools.loop, "thread": pools.thread}, worker=self.name, bus=bus
        )
        executor = Executor(
            engine,
            belt,
            self._reports,
            settled=self._committed,
            dropped=self._forget,
            overdue=partial(self._overdue, pools),
            left=controllers.ended if settings.concurrency == AUTO else None,
        )
        settler = Settler(engine, bus, belt, self._reports, self._settled)
        known = tuple(sorted({*self._app.task_types, *self._own}))
        presence = Presence(
            self.name,
            settings,
            known,
            runs=lambda: self._held,
            slots=pools.slots,
            draining=lambda: self.draining,
        )
        heartbeat = Heartbeat(
            engine,
            bus,
            lease=settings.lease,
            interval=settings.heartbeat,
            stall=settings.stall,
            reports=self._reports,
            held=lambda: self._held,
            answered=self._answered,
            present=presence.tell,
        )
        claimers = self._claimers(
            engine, belt, pools, controllers, self._deliver(executor, belt, pools)
        )
        await presence.tell(engine)
        untold = self._app.metrics.source(gauges(pools.slots, lambda: self.running))
        heartbeat.start()
        bus.emit(WorkerStarted(self.name, settings.queues or (), pools.loop.slots.size))
        claiming = [asyncio.ensure_future(claimer.run()) for claimer in claimers]
        settling = asyncio.ensure_future(settler.run())
        watching = asyncio.ensure_future(
            watch_memory(
                self.name,
                settings.max_memory_mib,
                lambda: self._claimed,
                tell=bus.emit,
                full=self._drain_to_recycle,
            )
        )
        adapting = asyncio.ensure_future(controllers.run(engine))
        draining = asyncio.ensure_future(self._draining.wait())
        stages: set[asyncio.Future[Any]] = {
            settling,
            watching,
            adapting,
            heartbeat.broken,
            *claiming,
        }
        try:
            await _until(draining, stages)
        except asyncio.CancelledError:
            self._drain("cancelled", 0)
            raise
        except Exception as error:
            self._drain(f"a stage failed: {error}", 0)
            raise
        finally:
            bus.emit(WorkerDraining(self.name, self.running, self._reason))
            telling = asyncio.ensure_future(presence.tell(engine))
            for claimer in claimers:
                claimer.stop()
            pools.hurry()
            await self._finish(claiming)
            for task in (settling, watching, adapting, draining, *claiming):
                task.cancel()
            ended = (settling, watching, adapting, draining, telling, *claiming)
            await asyncio.gather(*ended, return_exceptions=True)
            await heartbeat.stop()
            await presence.withdraw(engine)
            executor.close()
            await pools.close()
            untold()
            bus.emit(WorkerStopped(self.name, self._released))

    # the stages

    def _claimers(
        self,
        engine: Engine,
        belt: Belt[Decided],
        pools: Pools,
        controllers: Controllers,
        deliver: Callable[[Sequence[Claim]], None],
    ) -> list[Claimer]:
        names: dict[Pool, set[str]] = {}
        for task_type in self._app.task_types.values():
            pool = pools.of(task_type)
            names.setdefault(pool, set()).add(task_type.name)
            controllers.meet(pool, [self._app.queue_of(task_type.name)])
        asked: dict[Pool, tuple[str, ...] | None] = dict.fromkeys(names, self._settings.queues)
        if self._own:
            names[pools.own] = set(self._own)
            asked[pools.own] = tuple(sorted({str(each.queue) for each in self._own.values()}))
        return [
            Claimer(
                engine,
                self._app.bus,
                ClaimRequest(
                    claim_id="",
                    worker=self.name,
                    queues=asked[pool],
                    task_types=frozenset(served),
                    limit=0,
                    lease=self._settings.lease,
                ),
                slots=pool.slots,
                beside=pools.apart.slots,
                settling=belt,
                allowance=self._allowance,
                deliver=deliver,
                shares=controllers.of(pool),
            )
            for pool, served in names.items()
        ]

    def _allowance(self) -> int:
        most = self._settings.max_tasks
        return 1_000_000 if most is None else most - self._claimed

    def _deliver(
        self,
        executor: Executor,
        belt: Belt[Decided],
        pools: Pools,
    ) -> Callable[[Sequence[Claim]], None]:
        task_types, bus = self._app.task_types, self._app.bus

        def run_of(claim: Claim) -> Run:
            if claim.task_type in self._own:
                return Run(claim, self._own[claim.task_type], pools.own)
            task_type = task_types[claim.task_type]
            apart = claim.alone and pools.apart.usable
            return Run(claim, task_type, pools.apart if apart else pools.of(task_type))

        def deliver(claims: Sequence[Claim]) -> None:
            runs = [run_of(claim) for claim in claims]
            self._held.update(dict.fromkeys(runs))
            if self._draining.is_set():
                for run in runs:
                    run.decided = True
                    belt.put((run, Verdict(Released())))
                return
            self._claimed += len(runs)
            if self._allowance() <= 0:
                self._drain_to_recycle(f"after {self._claimed} tasks")
            executor.start(runs)
            if bus.wanted(TaskStarted):
                for run in runs:
                    claim = run.claim
                    bus.emit(
                        TaskStarted(
                            claim.ref.task_id,
                            claim.task_type,
                            claim.queue,
                            claim.attempt,
                            self.name,
                            claim.user_id,
                        )
                    )

        return deliver

    # what the stages tell

    def _settled(self, run: Run, outcome: Outcome, state: State | None) -> None:
        self._forget(run)
        if isinstance(outcome, Released) and state is not None:
            self._released += state is not State.CANCELLED
        bus = self._app.bus
        if state is not State.COMPLETED or bus.wanted(KIND_OF[type(outcome)]):
            bus.emit(ending_of(run, outcome, state, self.name))

    def _committed(self, run: Run, outcome: Outcome, state: State | None) -> None:
        """A run settled in its own transaction, by itself and beside the settler."""
        self._settled(run, outcome, state)
        if self._app.bus.wanted(TasksSettled):
            self._app.bus.emit(TasksSettled((end_of(run, outcome, state),), timedelta()))

    def _forget(self, run: Run) -> None:
        self._held.pop(run, None)
        if self._draining.is_set():
            self._changed.set()

    def _overdue(self, pools: Pools, run: Run) -> None:
        claim = run.claim
        if claim.task_type in pools.batches:
            pools.batches[claim.task_type].hand_back()
        self._drain_to_recycle(f"{claim.task_type} {claim.ref.task_id} outlived its timeout")

    def _answered(self, answers: Answers) -> None:
        bus = self._app.bus
        for run, hold, report in answers:
            if run not in self._held:
                continue
            claim = run.claim
            task = (claim.ref.task_id, claim.task_type, claim.queue)
            if hold is Hold.LOST:
                if not run.decided and run.ending is not Ending.LOST:
                    bus.emit(LeaseLost(*task, claim.attempt, self.name))
                    run.end(Ending.LOST)
                continue
            if hold is Hold.CANCEL and run.ending is None:
                run.end(Ending.CANCEL)
            if report is not None and report.progress is not None:
                bus.emit(TaskProgressed(*task, report.progress))

    # drain

    async def _finish(self, claiming: Sequence[asyncio.Future[None]]) -> None:
        """Let tasks finish until the deadline, then end them and hand them back."""
        await self._until_nothing_runs(claiming)
        for run in list(self._held):
            run.end(Ending.DRAIN)
        self._deadline = time.monotonic() + RELEASE_TIME
        await self._until_nothing_runs(claiming)

    async def _until_nothing_runs(self, claiming: Sequence[asyncio.Future[None]]) -> None:
        for task in claiming:
            task.add_done_callback(lambda _: self._changed.set())
        while not all(task.done() for task in claiming) or any(
            not run.overdue for run in self._held
        ):
            left = self._deadline - time.monotonic()
            if left <= 0:
                return
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if left == math.inf else left):
                    await self._changed.wait()


async def _until(draining: asyncio.Future[Any], stages: set[asyncio.Future[Any]]) -> None:
    """Return when draining; a stage that ends before with an error raises it."""
    while not draining.done():
        done, _ = await asyncio.wait({draining, *stages}, return_when=asyncio.FIRST_COMPLETED)
        for stage in done - {draining}:
            stages.discard(stage)
            stage.result()
