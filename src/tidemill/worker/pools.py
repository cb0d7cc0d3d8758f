"""The pools inside the worker's own process: its loop, and its threads."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tidemill.app import Middleware
from tidemill.errors import SoftTimeout
from tidemill.worker.attempt import attempt
from tidemill.worker.interrupt import Interruptible
from tidemill.worker.ports import Shared, entered
from tidemill.worker.run import Began, Run
from tidemill.worker.slots import Slots
from tidemill.worker.threads import Call, Threads, Unwind
from tidemill.worker.verdict import Ending, Verdict, soft_limit


@dataclass(slots=True)
class LoopBrake:
    """Stops an async function by cancellation."""

    body: asyncio.Task[None] | None
    inside: Interruptible | None = None

    def soften(self) -> None:
        if self.inside is not None:
            self.inside.interrupt()

    def stop(self, ending: Ending) -> bool:
        del ending
        return self.body is not None and self.body.cancel()


class LoopPool:
    """Runs async functions on the worker's loop."""

    def __init__(self, slots: Slots, shared: Shared, middleware: Sequence[Middleware]) -> None:
        self.slots = slots
        self._shared = shared
        self._middleware = middleware

    async def close(self) -> None:
        """Nothing to end: the loop is the worker's."""

    def attempt(self, run: Run, began: Began) -> Awaitable[Verdict]:
        """Run it here; only one with a soft timeout pays for being interruptible."""
        brake = LoopBrake(run.body)
        run.brake = brake
        began(run)
        call = awaited if soft_limit(run.task_type, run.claim) is None else interruptible(brake)
        return attempt(
            run.task_type,
            run.claim,
            call=call,
            ports=entered(run, self._shared),
            middleware=self._middleware,
        )


def awaited(
    function: Callable[..., Any], arguments: Mapping[str, object]
) -> Coroutine[Any, Any, Any]:
    """Call an async function; it stops by cancellation only."""
    coroutine: Coroutine[Any, Any, Any] = function(**arguments)
    return coroutine


def interruptible(
    brake: LoopBrake,
) -> Callable[[Callable[..., Any], Mapping[str, object]], Awaitable[Any]]:
    """Calls an async function so that the brake can soften it."""

    def call(function: Callable[..., Any], arguments: Mapping[str, object]) -> Awaitable[Any]:
        brake.inside = Interruptible(function(**arguments))
        return brake.inside

    return call


@dataclass(slots=True)
class ThreadBrake:
    """Stops a function on a thread as far as that goes.

    It is told when it asks, and interrupted by force only when its time is over. Middleware that
    has not called it yet is cancelled.
    """

    body: asyncio.Task[None] | None
    call: Call | None = None

    def soften(self) -> None:
        if self.call is not None:
            self.call.raise_inside(SoftTimeout)

    def stop(self, ending: Ending) -> bool:
        if self.call is None:
            return self.body is not None and self.body.cancel()
        if ending is not Ending.TIMEOUT:
            return False
        self.call.raise_inside(Unwind)
        return True

    def take(self, call: Call) -> None:
        """The call to stop."""
        self.call = call


class ThreadPool:
    """Runs ordinary functions on threads, and the middleware around them on the loop.

    `most` is how many slots it may come to have, where that changes.
    """

    def __init__(
        self,
        slots: Slots,
        shared: Shared,
        middleware: Sequence[Middleware],
        *,
        most: int | None = None,
    ) -> None:
        self.slots = slots
        self._shared = shared
        self._middleware = middleware
        self._threads = Threads(most or slots.size, "task")

    def attempt(self, run: Run, began: Began) -> Awaitable[Verdict]:
        """Run it on a thread."""
        brake = ThreadBrake(run.body)
        run.brake = brake
        began(run)
        return attempt(
            run.task_type,
            run.claim,
            call=lambda function, arguments: self._threads.run(
                partial(function, **arguments), brake.take
            ),
            ports=entered(run, self._shared),
            middleware=self._middleware,
        )

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.close()
