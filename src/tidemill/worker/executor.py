"""The middle stage: runs each claim in its pool and puts its verdict on the belt."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

from tidemill.context import RUNNING
from tidemill.engine import Engine
from tidemill.worker.belt import Belt
from tidemill.worker.deadlines import Deadlines
from tidemill.worker.decided import Decided, Settled, commit
from tidemill.worker.reports import Reports
from tidemill.worker.run import Run
from tidemill.worker.verdict import Ending, Verdict, ended, hard_limit, soft_limit

LAST_MOMENT = 5.0
"""Seconds that a function may go on after its hard timeout before its slot counts as lost."""


class Executor:
    """Starts runs, ends them at their deadlines, and hands on what became of them.

    `dropped` is told of runs whose lease is lost, for which nothing is settled; `overdue` of runs
    that nothing could end; `left` of every run that leaves its pool, with what became of it.
    """

    def __init__(
        self,
        engine: Engine,
        belt: Belt[Decided],
        reports: Reports,
        *,
        settled: Settled,
        dropped: Callable[[Run], None],
        overdue: Callable[[Run], None],
        left: Callable[[Run, Verdict | None], None] | None = None,
    ) -> None:
        self._engine = engine
        self._belt = belt
        self._reports = reports
        self._settled = settled
        self._dropped = dropped
        self._overdue = overdue
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)

    def start(self, runs: Iterable[Run]) -> None:
        """Run each in its pool, in a task of its own."""
        for run in runs:
            run.pool.slots.take()
            run.body = self._loop.create_task(self._run(run))

    def close(self) -> None:
        """Watch no deadline any more."""
        self._deadlines.close()

    async def _run(self, run: Run) -> None:
        verdict: Verdict | None = None
        if run.ending is None:
            verdict = await run.pool.attempt(run, self._began)
        run.stopped = time.perf_counter()
        run.decided = True
        for place in run.deadlines:
            self._deadlines.remove(place)
        if run.ending is Ending.LOST:
            verdict = None
        elif run.ending is not None and (run.told or verdict is None):
            outcome = ended(run.task_type, run.claim, run.ending)
            verdict = None if outcome is None else Verdict(outcome)
        if run.transaction is not None:
            await self._conclude(run, verdict)
        elif verdict is None:
            self._dropped(run)
        else:
            self._pass_on(run, verdict)
        if self._left is not None:
            self._left(run, verdict)
        # The run has this asyncio task, whose context has the run: with the cycle left closed, the
        # collector's passes took 8 of the 45 µs that a no-op task costs.
        RUNNING.set(None)
        run.pool.slots.give()

    async def _conclude(self, run: Run, verdict: Verdict | None) -> None:
        left = await commit(run, verdict, self._engine, self._reports, self._settled)
        if left is not None:
            self._pass_on(run, left)
        elif verdict is None:
            self._dropped(run)

    def _pass_on(self, run: Run, verdict: Verdict) -> None:
        put = partial(self._belt.put, (run, verdict))
        if not self._reports.when_arrived(run, partial(self._from_any_thread, put)):
            put()

    def _from_any_thread(self, put: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(put)

    def _began(self, run: Run) -> None:
        run.started = time.perf_counter()
        run.begun = True
        if run.decided:
            return
        soft = soft_limit(run.task_type, run.claim)
        hard = hard_limit(run.task_type, run.claim)
        if soft is not None:
            run.deadlines.append(self._deadlines.add(soft.total_seconds(), run.soften))
        if hard is not None:
            ring = partial(self._time_over, run)
            run.deadlines.append(self._deadlines.add(hard.total_seconds(), ring))

    def _time_over(self, run: Run) -> None:
        run.end(Ending.TIMEOUT)
        ring = partial(self._give_up, run)
        run.deadlines.append(self._deadlines.add(LAST_MOMENT, ring))

    def _give_up(self, run: Run) -> None:
        if not run.decided:
            run.overdue = True
            self._overdue(run)
