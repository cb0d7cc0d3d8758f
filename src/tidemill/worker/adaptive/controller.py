"""Keeps the slots of one pool as the rule says, for each queue that it takes tasks from."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tidemill.events import Bus, ConcurrencyChanged
from tidemill.outcome import Failed, Released, Retried
from tidemill.task import Claim
from tidemill.worker.adaptive.measures import Bounds, Health, Tally
from tidemill.worker.adaptive.rule import Course, begun, decide
from tidemill.worker.adaptive.shares import Ask, Queues, divided
from tidemill.worker.run import Run
from tidemill.worker.slots import Slots
from tidemill.worker.verdict import Verdict

SHORT = 0.1
"""The part of claims that may bring less than they asked for while slots still count as wanted."""

IN_USE = 0.4
"""The part of its slots that a wanted queue had in use at once: a claim takes half of them."""


@dataclass(slots=True)
class Line:
    """One queue in the pool: its course, and what was counted since the last look."""

    course: Course
    taken: int = 0
    most: int = 0
    completed: int = 0
    failed: int = 0
    spent: float = 0.0

    def counted(self, seconds: float) -> Tally:
        """What ended since the last call; it is zero then."""
        tally = Tally(seconds, self.completed, self.failed, self.spent)
        self.completed, self.failed, self.spent, self.most = 0, 0, 0.0, self.taken
        return tally


class Controller:
    """The shares of one pool (`Shares`), found by the rule.

    A queue begins with `start` slots. The pool has as many as its queues together, up to the
    ceiling of `bounds`, and runs what it has begun whatever becomes of its slots.
    """

    def __init__(
        self,
        pool: str,
        slots: Slots,
        queues: Queues,
        bounds: Bounds,
        *,
        worker: str,
        bus: Bus,
    ) -> None:
        self._pool = pool
        self._slots = slots
        self._queues = queues
        self._bounds = bounds
        self._start = slots.size
        self._worker = worker
        self._bus = bus
        self._lines: dict[str, Line] = {}
        self._claims = 0
        self._short = 0
        self._waiting: asyncio.Future[None] | None = None
        self.meet(queues or ())

    # what each queue may have

    def meet(self, queues: Sequence[str]) -> None:
        """Take note of queues; those that are new begin at the start."""
        for name in queues:
            if name not in self._lines:
                self._lines[name] = Line(begun(self._start))
                self._resize()

    def asks(self, limit: int) -> Sequence[Ask]:
        return divided(self._queues, self._lines, self._rooms(), limit)

    def answered(self, ask: Ask, claims: Sequence[Claim]) -> None:
        self._claims += 1
        self._short += len(claims) < ask.limit
        for claim in claims:
            if claim.queue not in self._lines:
                self.meet((claim.queue,))
            if not claim.alone:  # that one runs in a child process, by itself
                line = self._lines[claim.queue]
                line.taken += 1
                line.most = max(line.most, line.taken)

    @property
    def withheld(self) -> bool:
        return any(room <= 0 for room in self._rooms().values())

    async def room(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _rooms(self) -> dict[str, int]:
        return {name: line.course.slots - line.taken for name, line in self._lines.items()}

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # what was measured

    def ended(self, run: Run, verdict: Verdict | None) -> None:
        """A run has left the pool; without a verdict its lease was lost."""
        if run.claim.alone:
            return
        line = self._lines[run.claim.queue]
        line.taken -= 1
        if line.course.slots - line.taken == 1:
            self._wake()
        if verdict is None or isinstance(verdict.outcome, Released):
            return
        failed = isinstance(verdict.outcome, Retried | Failed)
        line.failed += failed
        line.completed += not failed
        line.spent += run.stopped - run.started

    def look(self, seconds: float, health: Health) -> None:
        """Let the rule decide after so many seconds."""
        enough = self._short <= SHORT * self._claims
        self._claims = self._short = 0
        for name, line in self._lines.items():
            if not line.most:
                continue  # nothing of it ran: nothing is its fault
            before = line.course.slots
            wanted = enough and line.most >= max(1, int(IN_USE * before))
            line.course, reason = decide(
                line.course, line.counted(seconds), health, self._bounds, wanted=wanted
            )
            after = line.course.slots
            if after != before:
                self._resize()
                self._bus.emit(
                    ConcurrencyChanged(self._worker, self._pool, name, before, after, reason)
                )

    def _resize(self) -> None:
        wanted = sum(line.course.slots for line in self._lines.values())
        self._slots.resize(min(self._bounds.ceiling, wanted))
        self._wake()
