"""The pool of one batch task type: collects its tasks, and runs each batch as one call."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain

from tidemill.batch import Batch
from tidemill.context import RUNNING
from tidemill.outcome import Released
from tidemill.task import Claim
from tidemill.task_type import TaskType
from tidemill.worker.attempt import Call
from tidemill.worker.attempts import attempts
from tidemill.worker.pools import LoopBrake, ThreadBrake, awaited, interruptible
from tidemill.worker.ports import RunPorts, Shared
from tidemill.worker.run import Began, Brake, Run
from tidemill.worker.slots import Slots
from tidemill.worker.threads import Threads
from tidemill.worker.verdict import Ending, Verdict, soft_limit


@dataclass(frozen=True, slots=True)
class Member:
    """One run in a batch, from when it is collected; its brake until the batch begins.

    One that is made to end meanwhile leaves: it was not handled, and is handed back.
    """

    run: Run
    began: Began
    verdict: asyncio.Future[Verdict]

    def soften(self) -> None:
        """Nothing to soften: no time runs before the call."""

    def stop(self, ending: Ending) -> bool:
        del ending
        self.decide(Verdict(Released()))
        return True

    def decide(self, verdict: Verdict) -> None:
        """Answer the one who waits for the attempt."""
        with suppress(asyncio.InvalidStateError):  # it left, or its waiter was cancelled
            self.verdict.set_result(verdict)


class CallBrake:
    """The brake of every run in one call, which goes on as long as one of them is wanted.

    A cancel or a lost lease is of one task and stops nothing; what stops one for its time stops
    the call, and so all of them.
    """

    def __init__(self, inner: Brake, runs: Sequence[Run]) -> None:
        self._inner = inner
        self._runs = runs
        self._softened = False
        self._stopped = False

    def soften(self) -> None:
        if not self._softened:
            self._softened = True
            self._inner.soften()

    def stop(self, ending: Ending) -> bool:
        if ending in (Ending.CANCEL, Ending.LOST):
            return False
        if not self._stopped:
            self._stopped = self._inner.stop(ending)
            if self._stopped:
                for run in self._runs:
                    run.end(ending)
        return self._stopped


class BatchPool:
    """Runs a batch as soon as it is full, or `within` after its first task, or when in a hurry.

    Its slots hold the batches that run and the next one. A task that must run alone is a batch of
    one.
    """

    def __init__(self, task_type: TaskType, batch: Batch, shared: Shared) -> None:
        self.slots = Slots(batch.size * (batch.concurrency + 1))
        self._task_type = task_type
        self._batch = batch
        self._shared = shared
        self._within = batch.within.total_seconds()
        self._threads = None if task_type.is_async else Threads(batch.concurrency, "batch")
        self._collected: list[Member] = []
        self._timer: asyncio.TimerHandle | None = None
        self._full: deque[list[Member]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._handing_back = False

    def attempt(self, run: Run, began: Began) -> Awaitable[Verdict]:
        """Collect it; the verdict comes when its batch has run."""
        member = Member(run, began, self._shared.loop.create_future())
        run.brake = member
        if self._handing_back:
            run.end(Ending.DRAIN)
        elif run.claim.alone:
            self._full.append([member])
            self._start()
        else:
            self._collect(member)
        return member.verdict

    def _collect(self, member: Member) -> None:
        self._collected.append(member)
        if len(self._collected) == self._batch.size:
            self._fill()
        elif self._timer is None:
            self._timer = self._shared.loop.call_later(self._within, self._fill)

    def hurry(self) -> None:
        """From now on run what is collected as soon as a call is free."""
        self._within = 0
        if self._collected:
            self._fill()

    def hand_back(self) -> None:
        """Begin no call any more: one goes on for ever, and the others would wait for it."""
        self._handing_back = True
        for member in (*chain.from_iterable(self._full), *self._collected):
            member.run.end(Ending.DRAIN)

    async def close(self) -> None:
        """Let the threads end."""
        if self._threads is not None:
            self._threads.close()

    def _fill(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._full.append(self._collected)
        self._collected = []
        self._start()

    def _start(self) -> None:
        while self._full and len(self._calls) < self._batch.concurrency:
            call = self._shared.loop.create_task(self._handle(self._full.popleft()))
            self._calls.add(call)
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        call.result()
        self._start()

    async def _handle(self, collected: Sequence[Member]) -> None:
        members = [each for each in collected if not each.verdict.done()]
        if not members:
            return
        RUNNING.set(None)  # a call of many tasks, begun by whichever came last
        runs = {each.run.claim.ref.task_id: each.run for each in members}
        inner, call = self._place(members[0].run)
        brake = CallBrake(inner, tuple(runs.values()))
        for each in members:
            each.run.brake = brake
            each.began(each.run)

        def ports(claim: Claim) -> RunPorts:
            return RunPorts(runs[claim.ref.task_id], self._shared)

        claims = [each.run.claim for each in members]
        tracing = self._shared.tracing
        verdicts = await attempts(self._task_type, claims, call=call, ports=ports, tracing=tracing)
        for member, verdict in zip(members, verdicts, strict=True):
            member.decide(verdict)

    def _place(self, run: Run) -> tuple[Brake, Call]:
        """How the function is called where it belongs, and made to stop there."""
        body = asyncio.current_task()
        if self._threads is not None:
            on_thread, threads = ThreadBrake(body), self._threads
            return on_thread, lambda function, arguments: threads.run(
                partial(function, **arguments), on_thread.take
            )
        on_loop = LoopBrake(body)
        soft = soft_limit(self._task_type, run.claim)
        return on_loop, awaited if soft is None else interruptible(on_loop)
