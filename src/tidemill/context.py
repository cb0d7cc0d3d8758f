"""What a task function sees of its own task: the `Context` that is injected.

The context only collects and asks; the worker behind it acts. Its methods work the same in async
functions, in threads and in child processes.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextvars import ContextVar
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast, overload

import msgspec

from tidemill.clock import SystemClock, from_micros
from tidemill.engine import Transaction
from tidemill.errors import Permanent, TaskFailedError
from tidemill.ids import child_id
from tidemill.secret import Veil, veiled
from tidemill.task import Claim, LogLine, NewTask, Progress, State, Task

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
MAX_LOG_LINES = 1_000
"""Lines kept of one attempt; later ones still reach the process's own logging."""
MAX_LOG_TEXT = 10_000
"""Characters kept of one line."""


class Resource(msgspec.Struct, Generic[R], frozen=True):
    """Something a worker process opens once and its tasks share: a pool, a client, a model.

    `open` is an async generator function that yields the value once and cleans up afterwards.
    """

    name: str
    open: Callable[[], AsyncIterator[R]]


class Call(Protocol[R_co]):
    """A task type with its arguments: what can be enqueued, now or by a task."""

    def new_task(self, *, task_id: str | None = None, parent_id: str | None = None) -> NewTask:
        """The task that this call enqueues."""
        ...

    def decode(self, result: bytes | None) -> R_co:
        """The value of a result."""
        ...


class Enqueueable(Protocol):
    """What a task can enqueue: a call, or a whole workflow."""

    def new_tasks(self, *, parent_id: str) -> list[NewTask]:
        """Its tasks; the last one stands for all of it."""
        ...


class Ports(Protocol):
    """What a context needs of the worker that runs its task. Safe to call from any thread."""

    def report(self, progress: Progress) -> None:
        """Take progress; it reaches the engine within 50 ms."""
        ...

    def log(self, line: LogLine) -> None:
        """Take a log line to be kept with the task."""
        ...

    def stopping(self) -> bool:
        """Whether the attempt was asked to end, or lost its lease."""
        ...

    async def tasks(self, ids: tuple[str, ...]) -> dict[str, Task]:
        """The records of tasks that exist."""
        ...

    async def begin(self) -> Transaction:
        """Open the transaction that the attempt's settlement will commit."""
        ...

    def resource(self, name: str) -> Any:
        """The value of a resource of this process."""
        ...

    def block_on(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end from an ordinary function on its own thread."""
        ...


class Suspended(BaseException):
    """Unwinds a task function until its children are final; no `except Exception` sees it."""

    def __init__(self, children: tuple[str, ...]) -> None:
        super().__init__(f"waiting for {len(children)} children")
        self.children = children


class _Reported(Awaitable[None]):
    """What reporting gives back: awaiting it lets the loop run once, not awaiting it is fine."""

    def __await__(self) -> Generator[Any, None, None]:
        yield


_REPORTED = _Reported()


class Context:
    """One attempt of one task, as its function sees it."""

    def __init__(
        self,
        claim: Claim,
        ports: Ports,
        steps: Mapping[str, float],
        veil: Veil | None = None,
    ) -> None:
        self._claim = claim
        self._ports = ports
        self._steps = steps
        self._veil = veil
        self._percent = 0.0
        self._children = 0
        self._enqueued: list[NewTask] = []
        self.logger = TaskLogger(claim, ports, veil)
        running = RUNNING.get()
        if running is not None and running.claim is claim:
            running.logger = self.logger

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._claim.ref.task_id

    @property
    def task_type(self) -> str:
        """The name of the task type."""
        return self._claim.task_type

    @property
    def queue(self) -> str:
        """The queue that the task was claimed from."""
        return self._claim.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._claim.attempt

    @property
    def last_attempt(self) -> bool:
        """Whether a failure now is final."""
        return self._claim.attempt >= self._claim.attempt_limit

    @property
    def claim(self) -> Claim:
        """All that the worker knows of the task: tags, user, project, headers, limits."""
        return self._claim

    @property
    def should_stop(self) -> bool:
        """Whether the task was cancelled, timed out, or lost its lease: return soon.

        Async functions are interrupted besides; functions on threads must look.
        """
        return self._ports.stopping()

    @property
    def enqueued(self) -> tuple[NewTask, ...]:
        """The tasks that come to exist if this attempt's settlement is accepted."""
        return tuple(self._enqueued)

    def progress(self, percent: float, message: str = "") -> Awaitable[None]:
        """Report how far the task is, 0..100; it never goes back within an attempt.

        Await it in async functions, so that the loop can run; just call it in ordinary ones.
        """
        return self._report(percent, Progress(percent, message))

    def step(self, name: str, done: int = 0, total: int = 1, message: str = "") -> Awaitable[None]:
        """Report `done` of `total` inside a named step.

        The percentage counts the steps that the task type declares with their weights; without
        declared steps it is that of this step alone.
        """
        part = min(1.0, done / total) if total > 0 else 1.0
        percent = part * 100
        if self._steps:
            if name not in self._steps:
                known = ", ".join(self._steps)
                raise Permanent(f"{self.task_type} has no step {name!r}; it declares {known}")
            names = list(self._steps)
            before = sum(self._steps[each] for each in names[: names.index(name)])
            percent = (before + self._steps[name] * part) / sum(self._steps.values()) * 100
        return self._report(percent, Progress(percent, message, name, done, total))

    def _report(self, percent: float, progress: Progress) -> Awaitable[None]:
        self._percent = max(self._percent, min(100.0, max(0.0, percent)))
        message, step = (veiled(self._veil, each) for each in (progress.message, progress.step))
        self._ports.report(
            msgspec.structs.replace(progress, percent=self._percent, message=message, step=step)
        )
        return _REPORTED

    def enqueue(self, work: Enqueueable) -> str:
        """Enqueue a call or a workflow together with this attempt's settlement; answers its id.

        It exists if and only if this attempt completes or snoozes and is accepted. An attempt
        that ends in `gather` begins anew, so that it enqueues when it gets here again.
        """
        tasks = work.new_tasks(parent_id=self.task_id)
        self._enqueued += tasks
        return tasks[-1].id

    @overload
    async def gather(self, *calls: Call[R], fail: Literal[True] = True) -> list[R]: ...
    @overload
    async def gather(self, *calls: Call[R], fail: bool) -> list[R | None]: ...
    async def gather(self, *calls: Call[R], fail: bool = True) -> list[R] | list[R | None]:
        """Run child tasks and answer their results in order, holding no slot meanwhile.

        The function is left here while children are unfinished and begins anew when they are
        final: what it did before must be repeatable, and the calls come in the same order on
        each attempt. With `fail` a failed or cancelled child raises `TaskFailedError`; without,
        its place holds None. Each call is a task of its own here, whatever its unique key.
        """
        ids = tuple(
            child_id(self.task_id, self._children + ordinal) for ordinal in range(len(calls))
        )
        self._children += len(calls)
        found = await self._ports.tasks(ids)
        live = tuple(
            task_id for task_id in ids if task_id not in found or not found[task_id].state.final
        )
        if live:
            self._enqueued = [
                self._child(call, task_id)
                for task_id, call in zip(ids, calls, strict=True)
                if task_id not in found
            ]
            raise Suspended(live)
        return [
            _result(call, found[task_id], fail) for task_id, call in zip(ids, calls, strict=True)
        ]

    def _child(self, call: Call[Any], task_id: str) -> NewTask:
        # A child that gave way to the holder of its key would be waited for and never come.
        child = call.new_task(task_id=task_id, parent_id=self.task_id)
        return msgspec.structs.replace(child, unique=None)

    async def transaction(self) -> Transaction:
        """Open the engine's database for this task's own SQL.

        What it executes is committed with this attempt's settlement as completed, or not at all:
        its effects happen exactly once. It holds the database's write lock until the function
        returns, so open it last. Engines without transactions raise `EngineRefused`.
        """
        return await self._ports.begin()

    def use(self, resource: Resource[R]) -> R:
        """The value of a resource, opened once for the process."""
        return cast("R", self._ports.resource(resource.name))

    def block_on(self, work: Coroutine[Any, Any, R]) -> R:
        """From an ordinary function: run a coroutine such as `ctx.gather(…)` to its end."""
        return self._ports.block_on(work)


def _result(call: Call[R], task: Task, fail: bool) -> Any:  # noqa: FBT001  # private
    if task.state is State.COMPLETED:
        return call.decode(task.result)
    if not fail:
        return None
    error = task.error
    raise TaskFailedError(
        task.id,
        error_type=error.type if error else task.state.value,
        message=error.message if error else task.reason or "",
        fingerprint=error.fingerprint if error else "",
    )


class Running:
    """The attempt that the running code belongs to: what it logs is kept with its task.

    `ports` is asked only when something is logged. `worker` names the worker process. `veil` hides
    the task's declared secrets in what is logged, once they are known.
    """

    __slots__ = ("claim", "logger", "ports", "veil", "worker")

    def __init__(self, claim: Claim, ports: Callable[[], Ports], worker: str) -> None:
        self.claim = claim
        self.ports = ports
        self.worker = worker
        self.logger: TaskLogger | None = None
        self.veil: Veil | None = None

    def keep(self, level: int, text: str) -> None:
        """Keep a line that other code of the task logged."""
        if self.logger is None:
            self.logger = TaskLogger(self.claim, self.ports(), self.veil)
        self.logger.keep(level, veiled(self.veil, text))


RUNNING: ContextVar[Running | None] = ContextVar("tidemill_running", default=None)
"""The attempt of the running code, also on its threads and in asyncio tasks that it began."""

KEPT: Final = "tidemill_kept"
"""The attribute of a log record that is kept with its task already."""


class TaskLogger:
    """Logs lines of one attempt: kept with the task, and passed on to `logging`.

    The task's declared secrets are masked in both.
    """

    def __init__(self, claim: Claim, ports: Ports, veil: Veil | None = None) -> None:
        self._claim = claim
        self._ports = ports
        self._veil = veil
        self._lines = 0
        self._clock = SystemClock()
        self._log = logging.getLogger(f"tidemill.task.{claim.task_type}")

    def debug(self, message: str, *args: object) -> None:
        """Log at debug level; arguments fill the message as in `logging`."""
        self._emit(logging.DEBUG, message, args)

    def info(self, message: str, *args: object) -> None:
        """Log at info level."""
        self._emit(logging.INFO, message, args)

    def warning(self, message: str, *args: object) -> None:
        """Log at warning level."""
        self._emit(logging.WARNING, message, args)

    def error(self, message: str, *args: object) -> None:
        """Log at error level."""
        self._emit(logging.ERROR, message, args)

    def _emit(self, level: int, message: str, args: tuple[object, ...]) -> None:
        if self._veil is not None:
            message, args = "%s", (self._veil(_filled(message, args)),)
        ref = self._claim.ref
        extra = {"task_id": ref.task_id, "attempt": self._claim.attempt, KEPT: True}
        self._log.log(level, message, *args, extra=extra, stacklevel=3)
        self.keep(level, _filled(message, args))

    def keep(self, level: int, text: str) -> None:
        """Keep a line with the task, without passing it on."""
        self._lines += 1
        if self._lines <= MAX_LOG_LINES:
            self._keep(level, text)
        elif self._lines == MAX_LOG_LINES + 1:
            self._keep(logging.WARNING, f"only the first {MAX_LOG_LINES} lines are kept")

    def _keep(self, level: int, text: str) -> None:
        if len(text) > MAX_LOG_TEXT:
            text = text[:MAX_LOG_TEXT] + "…"
        name = logging.getLevelName(level).lower()
        self._ports.log(LogLine(from_micros(self._clock.now()), name, text, self._claim.attempt))


def _filled(message: str, args: tuple[object, ...]) -> str:
    """The message with its arguments; a mistake in a log line must not fail the task."""
    record = logging.LogRecord("", logging.INFO, "", 0, message, args, None)
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{message} {args!r}"
