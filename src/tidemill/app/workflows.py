"""A workflow that was enqueued: how far it is, its result, and the operations on all its steps."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

import msgspec

from tidemill.app.handle import Handle
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import TaskQuery
from tidemill.errors import (
    InvalidTransition,
    NotFound,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFound,
)
from tidemill.task import State, Task

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

R = TypeVar("R")

WORKFLOW: Final = "tidemill.workflow"
"""The task type of the task that stands for a whole workflow; nothing runs for it."""

BATCH = 1_000
"""Steps in one call of the engine."""

PAGE = 500
PATIENCE = timedelta(seconds=5)
"""How long one look at the feed waits before the workflow is read again all the same."""

_BROKE = frozenset({State.FAILED, State.CANCELLED})


class Root(msgspec.Struct, frozen=True):
    """The payload of the task that stands for a workflow, which comes after all its steps.

    `last` are the numbers of the steps that nobody comes after; `many`: the result is the list of
    theirs, not the one of the only one.
    """

    name: str
    last: tuple[int, ...]
    many: bool

    @classmethod
    def of(cls, task: Task) -> "Root":
        """What the record of such a task says, read with its details."""
        return DEFAULT_CODEC.decode(task.payload or b"", cls)


class WorkflowStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it stands.

    Of `total` steps, `counts` tells how many are in each state, zeros left out; pruned ones are
    not in it. `percent` (0..100) is the share of steps that are final. `breakers` are the steps
    that failed or were cancelled by themselves, not because of others that they come after.
    """

    id: str
    name: str
    state: State
    total: int
    counts: dict[State, int]
    percent: float
    breakers: tuple[Task, ...]


class WorkflowHandle(Generic[R]):
    """One workflow by its id. It holds no state: every answer comes from the engine.

    Each method raises `NotFound` when there is no workflow of that id.
    """

    def __init__(self, app: "Tidemill", workflow_id: str) -> None:
        self._app = app
        self.id = workflow_id

    def __repr__(self) -> str:
        return f"<workflow {self.id}>"

    @property
    def blocking(self) -> "BlockingWorkflowHandle[R]":
        """The same handle for ordinary code."""
        return BlockingWorkflowHandle(self._app, self)

    async def get(self) -> Task:
        """The record of the task that stands for the whole; its `after` names the steps."""
        found = await self._found((self.id,), details=True)
        task = found.get(self.id)
        if task is None or task.task_type != WORKFLOW:
            raise workflow_not_found(self.id)
        return task

    async def steps(self) -> list[Task]:
        """The records of the steps that there still are, each after those that it comes after."""
        return await self._steps(await self.get())

    async def status(self) -> WorkflowStatus:
        """How many steps are in which state, and what went wrong."""
        root = await self.get()
        return status_of(root, await self._steps(root))

    async def progress(self) -> AsyncIterator[float]:
        """The share of steps that are final, in per cent: now, and with each change, to the end.

        It ends when the workflow does; of one that is cancelled the share is not known any more.
        """
        engine = await self._app.engine()
        cursor = (await engine.feed(None, 1, timedelta(0))).cursor
        root = await self.get()
        own = {*_upstream(root), root.id}
        told = None
        while True:
            percent = share_of(root)
            if percent is not None and percent != told:
                yield percent
                told = percent
            if root.state.final:
                return
            page = await engine.feed(cursor, PAGE, PATIENCE)
            cursor = page.cursor
            ended = any(each.task_id in own and each.state.final for each in page.entries)
            if ended or page.cut or not page.entries:
                root = await self.get()

    async def wait(self, timeout: timedelta | float | None = None) -> WorkflowStatus:
        """Wait until it is final, however it ends; raises `ResultTimeout` after `timeout`."""
        root = await self._final(timeout)
        return status_of(root, await self._steps(root))

    async def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait until it is final, and answer the result of its last step, or a list of them.

        The last steps are those that no other comes after. Under `continue` the place of one that
        failed holds None. Raises `TaskFailedError` for the first step that failed by itself,
        `TaskCancelledError`, `TaskNotFound` for a last step that was pruned, and `ResultTimeout`
        after `timeout` (a timedelta or seconds). The workflow goes on meanwhile.
        """
        root = await self._final(timeout)
        if root.state is not State.COMPLETED:
            raise _error(root, breakers(await self._steps(root)))
        shape, upstream = Root.of(root), _upstream(root)
        ids = [upstream[number] for number in shape.last]
        found = await self._found(ids)
        gone = next((each for each in ids if each not in found), None)
        if gone is not None:
            raise TaskNotFound(gone)
        values = [self._app.decode_result(found[each]) for each in ids]
        return cast("R", values if shape.many else values[0])

    async def cancel(self, reason: str = "") -> State:
        """Cancel all that is not final, and answer the state of the whole.

        The whole is cancelled at once, with the steps that wait; those that run are asked to stop
        and end when their workers answer. Repeating it is safe; a final workflow stays as it is.
        """
        root = await self.get()
        engine = await self._app.engine()
        # The whole first: under `continue` it would complete when its last step is cancelled.
        (state,) = await engine.cancel([self.id], reason)
        # The last steps first: none of them is to start because those before it have ended.
        for ids in _batches(_upstream(root)[::-1]):
            await engine.cancel(ids, reason)
        return state or root.state

    async def retry(self) -> None:
        """Run its failed and cancelled steps again, and those that they broke; completed ones stay.

        Raises `InvalidTransition` unless it is failed or cancelled, and while a step that was
        asked to stop still runs.
        """
        root = await self.get()
        if root.state not in _BROKE:
            raise InvalidTransition(root.id, root.state.value, "retry")
        steps = await self._steps(root)
        for step in steps:
            if step.cancel_requested and not step.state.final:
                raise InvalidTransition(step.id, "still stopping", "retry")
        engine = await self._app.engine()
        # Level by level: where queues are on several servers, the steps of one call are retried in
        # no order, and each asks at once what became of those that it comes after.
        waves: dict[int, list[str]] = {}
        for step, level in zip(steps, levels(steps), strict=True):
            if step.state in _BROKE:
                waves.setdefault(level, []).append(step.id)
        for _, wave in sorted(waves.items()):
            for ids in _batches(wave):
                await engine.retry(ids)
        await engine.retry([root.id])

    async def _final(self, timeout: timedelta | float | None) -> Task:
        await self.get()
        with suppress(TaskFailedError, TaskCancelledError):
            await Handle[None](self._app, self.id).result(timeout)
        return await self.get()

    async def _steps(self, root: Task) -> list[Task]:
        upstream = _upstream(root)
        found = await self._found(upstream)
        return [found[each] for each in upstream if each in found]

    async def _found(self, ids: Sequence[str], *, details: bool = False) -> dict[str, Task]:
        engine = await self._app.engine()
        pages = [
            await engine.find(TaskQuery(ids=batch, limit=len(batch), details=details))
            for batch in _batches(ids)
        ]
        return {task.id: task for page in pages for task in page.tasks}


class BlockingWorkflowHandle(Generic[R]):
    """A workflow's handle for ordinary code: each call waits for the engine's answer."""

    def __init__(self, app: "Tidemill", handle: WorkflowHandle[R]) -> None:
        self._app = app
        self._handle = handle
        self.id = handle.id

    def __repr__(self) -> str:
        return repr(self._handle)

    def get(self) -> Task:
        """The record of the task that stands for the whole."""
        return self._app.run_blocking(self._handle.get())

    def steps(self) -> list[Task]:
        """The records of the steps that there still are, in order."""
        return self._app.run_blocking(self._handle.steps())

    def status(self) -> WorkflowStatus:
        """How many steps are in which state, and what went wrong."""
        return self._app.run_blocking(self._handle.status())

    def wait(self, timeout: timedelta | float | None = None) -> WorkflowStatus:
        """Wait until it is final, however it ends."""
        return self._app.run_blocking(self._handle.wait(timeout))

    def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait until it is final and answer its result, as `WorkflowHandle.result` does."""
        return self._app.run_blocking(self._handle.result(timeout))

    def cancel(self, reason: str = "") -> State:
        """Cancel all that is not final."""
        return self._app.run_blocking(self._handle.cancel(reason))

    def retry(self) -> None:
        """Run its failed and cancelled steps again."""
        self._app.run_blocking(self._handle.retry())


def share_of(root: Task) -> float | None:
    """The share of a workflow's steps that are final, in per cent, by its own record alone.

    None of a cancelled one, which does not wait for its steps any more.
    """
    if root.state.final:
        return None if root.state is State.CANCELLED else 100.0
    return _percent(root.awaiting, len(_upstream(root)))


def status_of(root: Task, steps: Sequence[Task]) -> WorkflowStatus:
    """A workflow as its own record and those of its steps tell."""
    counts = Counter(step.state for step in steps)
    total = len(_upstream(root))
    return WorkflowStatus(
        id=root.id,
        name=Root.of(root).name,
        state=root.state,
        total=total,
        counts={state: counts[state] for state in State if counts[state]},
        percent=_percent(sum(not step.state.final for step in steps), total),
        breakers=breakers(steps),
    )


def breakers(steps: Iterable[Task]) -> tuple[Task, ...]:
    """The steps that ended without being completed for a reason of their own."""
    broke = {step.id: step for step in steps if step.state in _BROKE}
    return tuple(
        step
        for step in broke.values()
        if step.after is None
        or step.after.on_failure == "continue"
        or broke.keys().isdisjoint(step.after.tasks)
    )


def levels(steps: Iterable[Task]) -> list[int]:
    """How many steps stand one after the other before each step at most, 0 for the first ones."""
    level: dict[str, int] = {}
    for step in steps:
        upstream = step.after.tasks if step.after else ()
        level[step.id] = max((level[each] + 1 for each in upstream if each in level), default=0)
    return list(level.values())


def workflow_not_found(workflow_id: str) -> NotFound:
    """The error for an id that is no workflow's."""
    return NotFound(
        f"there is no workflow {workflow_id}: it never existed, it was pruned, or it is a task"
    )


def _percent(live: int, total: int) -> float:
    return (total - live) / total * 100


def _upstream(root: Task) -> tuple[str, ...]:
    return root.after.tasks if root.after else ()


def _batches(ids: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return (tuple(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))


def _error(root: Task, broke: Iterable[Task]) -> TaskFailedError | TaskCancelledError:
    failed = next((each for each in broke if each.state is State.FAILED), None)
    if root.state is State.CANCELLED and (root.reason != "skipped" or failed is None):
        return TaskCancelledError(root.id, root.reason or "")
    told = failed or root
    error = told.error
    return TaskFailedError(
        told.id,
        error_type=error.type if error else told.state.value,
        message=error.message if error else "",
        traceback=error.traceback if error else "",
        fingerprint=error.fingerprint if error else "",
    )
