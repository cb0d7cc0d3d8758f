"""A handle on one task: what became of it, its result, and the operations on it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from tidemill.app.watch import Look
from tidemill.engine import Retrial, TaskQuery, Transition
from tidemill.errors import (
    DuplicateUniqueKey,
    InvalidTransition,
    ResultTimeout,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFound,
)
from tidemill.task import Progress, State, Task, TaskError

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

R = TypeVar("R")


class Handle(Generic[R]):
    """One task by its id. It holds no state: every answer comes from the engine.

    `duplicate`: enqueueing found the unique key held, and this is the task that holds it.
    """

    def __init__(self, app: "Tidemill", task_id: str, *, duplicate: bool = False) -> None:
        self._app = app
        self.id = task_id
        self.duplicate = duplicate

    def __repr__(self) -> str:
        return f"<task {self.id}>"

    @property
    def blocking(self) -> "BlockingHandle[R]":
        """The same handle for ordinary code."""
        return BlockingHandle(self._app, self)

    async def get(self) -> Task:
        """The task's record with payload, attempts and logs; raises `TaskNotFound`."""
        return await self._record(details=True)

    async def state(self) -> State:
        """The state now; raises `TaskNotFound`."""
        return (await self._record()).state

    async def progress(self) -> Progress | None:
        """The last progress that the task reported, None before the first."""
        return (await self._record()).progress

    async def _record(self, *, details: bool = False) -> Task:
        engine = await self._app.engine()
        page = await engine.find(TaskQuery(ids=(self.id,), details=details))
        if not page.tasks:
            raise TaskNotFound(self.id)
        return page.tasks[0]

    async def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait until the task is final and answer its result.

        Raises `TaskFailedError`, `TaskCancelledError`, `TaskNotFound`, or `ResultTimeout` after
        `timeout` (a timedelta or seconds; None waits for ever). The task goes on meanwhile.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                task = await self._final()
        except TimeoutError:
            if not limit.expired():
                raise
            raise ResultTimeout(f"task {self.id} is not final after {seconds:g} s") from None
        if task.state is State.COMPLETED:
            return cast("R", self._app.decode_result(task))
        if task.state is State.CANCELLED:
            raise TaskCancelledError(task.id, task.reason or "")
        error = task.error or TaskError("Unknown", "")
        raise TaskFailedError(
            task.id,
            error_type=error.type,
            message=error.message,
            traceback=error.traceback,
            fingerprint=error.fingerprint,
        )

    async def _final(self) -> Task:
        task = await self._record()
        if task.state.final:
            return task
        watch = await self._app.watch()
        async with watch.task(self.id) as news:
            task = await self._record()
            while not task.state.final:
                told = await news()
                if isinstance(told, Look) or told.state.final:
                    task = await self._record()
        return task

    async def events(self) -> AsyncIterator[Transition]:
        """The task's transitions and progress from now on, in order, until it is final.

        Nothing when it is final already. Transitions that the engine's feed has dropped before
        they were read are missing.
        """
        watch = await self._app.watch()
        async with watch.task(self.id) as news:
            final = (await self._record()).state.final
            while not final:
                told = await news()
                if isinstance(told, Transition):
                    yield told
                    final = told.state.final
                elif told is Look.MISSED:
                    final = (await self._record()).state.final

    async def cancel(self, reason: str = "") -> State:
        """Cancel it if it waits, ask it to stop if it runs; answers the state then.

        A final task stays as it is.
        """
        engine = await self._app.engine()
        (state,) = await engine.cancel([self.id], reason)
        if state is None:
            raise TaskNotFound(self.id)
        return state

    async def retry(self) -> None:
        """Run a failed or cancelled task again with a new budget of attempts.

        Raises `TaskNotFound`, `InvalidTransition` when it is not failed or cancelled, and
        `DuplicateUniqueKey` when another task holds its unique key by now.
        """
        engine = await self._app.engine()
        (answer,) = await engine.retry([self.id])
        match answer:
            case Retrial.RETRIED:
                return
            case Retrial.NOT_FOUND:
                raise TaskNotFound(self.id)
            case Retrial.KEY_TAKEN:
                task = await self.get()
                raise DuplicateUniqueKey(task.unique.key if task.unique else "", "another task")
            case Retrial.COMPLETED | Retrial.NOT_FINAL:
                raise InvalidTransition(self.id, str(await self.state()), "retry")


class BlockingHandle(Generic[R]):
    """A handle for ordinary code: each call waits for the engine's answer."""

    def __init__(self, app: "Tidemill", handle: Handle[R]) -> None:
        self._app = app
        self._handle = handle
        self.id = handle.id
        self.duplicate = handle.duplicate

    def __repr__(self) -> str:
        return repr(self._handle)

    def get(self) -> Task:
        """The task's record; raises `TaskNotFound`."""
        return self._app.run_blocking(self._handle.get())

    def state(self) -> State:
        """The state now."""
        return self._app.run_blocking(self._handle.state())

    def progress(self) -> Progress | None:
        """The last progress that the task reported."""
        return self._app.run_blocking(self._handle.progress())

    def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait until the task is final and answer its result, as `Handle.result` does."""
        return self._app.run_blocking(self._handle.result(timeout))

    def cancel(self, reason: str = "") -> State:
        """Cancel it if it waits, ask it to stop if it runs."""
        return self._app.run_blocking(self._handle.cancel(reason))

    def retry(self) -> None:
        """Run a failed or cancelled task again."""
        self._app.run_blocking(self._handle.retry())
