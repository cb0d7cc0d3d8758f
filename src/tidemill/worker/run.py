"""One claim in a worker's hands."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from tidemill.engine import Transaction
from tidemill.task import Claim
from tidemill.task_type import TaskType
from tidemill.worker.deadlines import Place
from tidemill.worker.slots import Slots
from tidemill.worker.verdict import Ending, Verdict


class Brake(Protocol):
    """How the attempt of one run is made to stop, where it runs."""

    def soften(self) -> None:
        """Raise `SoftTimeout` inside the function."""
        ...

    def stop(self, ending: Ending) -> bool:
        """End the function as well as its place allows; whether that is certain to reach it."""
        ...


class Pool(Protocol):
    """Where attempts run: on the loop, on threads or in child processes."""

    @property
    def slots(self) -> Slots:
        """How many run there at once."""
        ...

    def attempt(self, run: "Run", began: "Began") -> Awaitable[Verdict]:
        """Run one attempt there, and leave a brake on the run; never raises.

        `began` is called on the loop when the attempt begins, as its time limits count from there.
        """
        ...

    async def close(self) -> None:
        """End what the pool itself holds."""
        ...


Began = Callable[["Run"], None]


class Run:
    """A claim from the moment it was taken until its settlement is answered.

    `begun`: its attempt is under way; before, it waits for a batch, a thread or a child process.
    `told`: the function knows that it is to end, so that what it returns is no result.
    `decided`: its verdict has been reached, and nothing ends it any more.
    `overdue`: it goes on after its hard timeout, and its slot is lost.
    """

    __slots__ = (
        "begun",
        "body",
        "brake",
        "claim",
        "deadlines",
        "decided",
        "ending",
        "overdue",
        "pool",
        "softened",
        "started",
        "stopped",
        "task_type",
        "told",
        "transaction",
    )

    def __init__(self, claim: Claim, task_type: TaskType, pool: Pool) -> None:
        self.claim = claim
        self.task_type = task_type
        self.pool = pool
        self.started = time.perf_counter()
        self.stopped = self.started
        self.body: asyncio.Task[None] | None = None
        self.brake: Brake | None = None
        self.deadlines: list[Place] = []
        self.ending: Ending | None = None
        self.transaction: tuple[Any, Transaction] | None = None
        self.begun = False
        self.softened = False
        self.told = False
        self.decided = False
        self.overdue = False

    def end(self, ending: Ending) -> None:
        """Make the attempt end; a lost lease wins over other reasons, else the first one stays."""
        if self.decided or self.ending is Ending.LOST:
            return
        again = self.ending is not None
        if not again or ending is Ending.LOST:
            self.ending = ending
        if again and ending is Ending.LOST:
            return  # it has been stopped already; a second cancellation would cut its cleaning up
        if self.brake is not None and self.brake.stop(ending):
            self.told = True

    def soften(self) -> None:
        """Raise `SoftTimeout` inside the function, if it is still running."""
        if self.brake is not None and not self.decided and self.ending is None:
            self.softened = True
            self.brake.soften()
