"""The inside of a child process: it runs one claim at a time until its worker goes away."""

import asyncio
import ctypes
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from tidemill.app import Tidemill
from tidemill.context import KEPT, RUNNING, Running
from tidemill.engine import Transaction
from tidemill.errors import EngineRefused, EngineUnavailable, SoftTimeout
from tidemill.secret import veiled
from tidemill.task import Claim, LogLine, Progress, Task
from tidemill.worker.attempt import attempt
from tidemill.worker.attempts import attempts
from tidemill.worker.failure import describe
from tidemill.worker.interrupt import Interruptible
from tidemill.worker.loading import import_app
from tidemill.worker.ports import block_on
from tidemill.worker.resources import Resources
from tidemill.worker.threads import Call, Threads
from tidemill.worker.verdict import Verdict
from tidemill.worker.wire import (
    Do,
    Done,
    Find,
    Found,
    FromChild,
    Logged,
    Ready,
    Reported,
    Soften,
    Spoke,
    ToChild,
    Unable,
    Wire,
    read_in_child,
    write,
)

R = TypeVar("R")
MIB = 1024 * 1024
_PR_SET_PDEATHSIG = 1


def main(app_path: str, wire: Wire, memory_mib: int | None, log_level: int) -> None:
    """Serve one worker; the process ends with this function, or with its worker.

    What its tasks log from `log_level` on goes to the worker.
    """
    die_with_parent(signal.SIGKILL)
    # A terminal sends Ctrl-C to the whole group: what happens then is for the worker to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        if memory_mib is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory_mib * MIB, memory_mib * MIB))
        app = import_app(app_path)
        logging.getLogger().setLevel(log_level)
    except BaseException as error:  # noqa: BLE001  # the worker tells it
        problem = describe(error)
        write(wire, Unable(f"{app_path} cannot be imported: {problem.type}: {problem.message}"))
        return
    asyncio.run(_serve(app, wire))


class _Spoken(logging.Handler):
    """Hands what a task logs to the worker, which has set up logging."""

    def __init__(self, child: "_Child") -> None:
        super().__init__()
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one record, unless the worker is gone."""
        if self._child.busy:
            with suppress(OSError):
                running = RUNNING.get()
                text = veiled(None if running is None else running.veil, self.format(record))
                kept = bool(getattr(record, KEPT, False))
                self._child.tell(Spoke(record.name, record.levelno, text, kept))


def die_with_parent(how: signal.Signals) -> None:
    """Let the kernel end this process when its parent ends (Linux; elsewhere the pipe tells)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(how))


async def _serve(app: Tidemill, wire: Wire) -> None:
    child = _Child(app, wire)
    try:
        await _open_and_run(child, app)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the worker is gone, and nobody is left to hear so
    finally:
        await child.resources.close()
        await app.close()


async def _open_and_run(child: "_Child", app: Tidemill) -> None:
    try:
        await child.resources.open(app.resources)
    except Exception as error:  # noqa: BLE001  # the worker tells it
        problem = describe(error)
        child.tell(Unable(f"a resource cannot be opened: {problem.type}: {problem.message}"))
        return
    child.tell(Ready())
    logging.getLogger().addHandler(_Spoken(child))
    threading.Thread(target=child.read, name="tidemill-wire", daemon=True).start()
    while (claim := await child.claims.get()) is not None:
        child.tell(Done.of(await child.attempt(claim)))
        if app.tracing is not None:  # a child ends without what other processes do at their end
            await asyncio.to_thread(app.tracing.flush)


class _Child:
    """One child process: its ports, and the claim that it runs."""

    def __init__(self, app: Tidemill, wire: Wire) -> None:
        self.resources = Resources()
        self.claims: asyncio.Queue[Claim | None] = asyncio.Queue()
        self._app = app
        self._wire = wire
        self._guard = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._threads = Threads(1, "task")
        self._answers: asyncio.Queue[Found] = asyncio.Queue()
        self._asking = asyncio.Lock()
        self.busy = False
        self._softened = False
        self._soften: Callable[[], None] = _nothing

    # the wire

    def tell(self, value: FromChild) -> None:
        """Send to the worker, from any thread."""
        with self._guard:
            write(self._wire, value)

    def read(self) -> None:
        """Read what the worker sends until it goes away."""
        try:
            while True:
                message = read_in_child(self._wire)
                self._loop.call_soon_threadsafe(self._take, message)
        except (EOFError, OSError):
            if self.busy:
                os._exit(1)  # nobody wants the outcome any more
            self._loop.call_soon_threadsafe(self.claims.put_nowait, None)

    def _take(self, message: ToChild) -> None:
        match message:
            case Do(claim):
                self.busy = True
                self.claims.put_nowait(claim)
            case Soften():
                self._softened = True
                self._soften()
            case Found():
                self._answers.put_nowait(message)

    # the attempt

    async def attempt(self, claim: Claim) -> Verdict:
        """Run one claim through middleware and function; its verdict."""
        self._softened = False
        RUNNING.set(Running(claim, lambda: self, ""))
        task_type = self._app.task_types[claim.task_type]
        call = self._on_loop if task_type.is_async else self._on_thread
        try:
            if task_type.batch is not None:
                [verdict] = await attempts(
                    task_type,
                    [claim],
                    call=call,
                    ports=lambda _: self,
                    tracing=self._app.tracing,
                )
                return verdict
            return await attempt(
                task_type,
                claim,
                call=call,
                ports=lambda: self,
                middleware=self._app.middleware,
            )
        finally:
            self._soften = _nothing
            self.busy = False

    def _on_loop(
        self, function: Callable[..., Any], arguments: Mapping[str, object]
    ) -> Awaitable[Any]:
        inside = Interruptible(function(**arguments))
        self._soften = inside.interrupt
        return inside

    def _on_thread(
        self, function: Callable[..., Any], arguments: Mapping[str, object]
    ) -> Awaitable[Any]:
        def started(call: Call) -> None:
            self._soften = partial(call.raise_inside, SoftTimeout)

        return self._threads.run(partial(function, **arguments), started)

    # the ports

    def report(self, progress: Progress) -> None:
        self.tell(Reported(progress))

    def log(self, line: LogLine) -> None:
        self.tell(Logged(line))

    def stopping(self) -> bool:
        return self._softened

    async def tasks(self, ids: tuple[str, ...]) -> dict[str, Task]:
        async with self._asking:
            self.tell(Find(ids))
            answer = await self._answers.get()
        if answer.problem:
            raise EngineUnavailable(answer.problem)
        return {task.id: task for task in answer.tasks}

    async def begin(self) -> Transaction:
        raise EngineRefused(
            "ctx.transaction() is of the worker's own process: this task runs in a child process, "
            "as its isolation is 'process' or as its worker died while it ran before"
        )

    def resource(self, name: str) -> Any:
        return self.resources.get(name)

    def block_on(self, work: Coroutine[Any, Any, R]) -> R:
        return block_on(work, self._loop)


def _nothing() -> None:
    """Soften nothing: no function is running."""
