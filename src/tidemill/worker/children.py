"""Child processes: for functions that must be killable, and for tasks that must run alone.

Each is driven by a thread of its own, which reads as what happens: start, run, wait for the end.
Children are started by a fork server, never forked from a process with threads.
"""

import asyncio
import logging
import multiprocessing
import signal
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait

from tidemill.app import Tidemill
from tidemill.context import KEPT
from tidemill.errors import EngineError, WorkerError
from tidemill.settings import WorkerSettings
from tidemill.worker import child as inside
from tidemill.worker.loading import path_of
from tidemill.worker.ports import Shared, entered, found
from tidemill.worker.run import Began, Run
from tidemill.worker.slots import Slots
from tidemill.worker.threads import Threads
from tidemill.worker.verdict import Ending, Verdict, crashed, not_started, raised
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
    read_from_child,
    write,
)

CLOSING = 2.0
"""Seconds that an idle child has to close its resources."""


class _NotStarted(Exception):
    """No child could be started; its text completes "no child process could run it: …"."""


class Child:
    """One child process, ready to run claims; used by one thread at a time.

    `served` counts the claims that it has run.
    """

    def __init__(self, app_path: str, memory_mib: int | None) -> None:
        context = multiprocessing.get_context("forkserver")
        # A server that cannot import the application, whose place only the child learns, still has
        # all that is ours: 6 ms a child instead of 190.
        context.set_forkserver_preload([inside.__name__, app_path.partition(":")[0]])
        self.served = 0
        self._wire, theirs = context.Pipe()
        self._process = context.Process(
            target=inside.main,
            args=(app_path, theirs, memory_mib, logging.getLogger().level),
            name="tidemill-child",
        )
        self._process.start()
        theirs.close()
        match self.read():
            case Ready():
                return
            case Unable(problem):
                self.close()
                raise _NotStarted(problem)
            case _:
                how = self.how_it_ended()
                self.close()
                raise _NotStarted(f"it {how} while it started")

    @property
    def alive(self) -> bool:
        """Whether it can take another claim."""
        return self._process.is_alive()

    def write(self, value: ToChild) -> None:
        """Tell it something; a child that is gone shows with the next `read`."""
        try:
            write(self._wire, value)
        except OSError:
            return

    def read(self) -> FromChild | None:
        """Wait for its next message; None when it has ended."""
        wait([self._wire, self._process.sentinel])
        try:
            # What it wrote before it ended is still here; a grandchild may hold the pipe open.
            return read_from_child(self._wire) if self._wire.poll() else None
        except (EOFError, OSError):
            return None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def how_it_ended(self) -> str:
        """How the process ended, to complete "it …"."""
        self._process.join()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        hint = " (perhaps the machine was out of memory)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"

    def dismiss(self) -> None:
        """Let it close its resources and end, without waiting for that."""
        self._wire.close()

    def close(self) -> None:
        """Let it end, and end it when that takes too long."""
        self.dismiss()
        self._process.join(CLOSING)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class ChildBrake:
    """Stops an attempt by killing the child that runs it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._child: Child | None = None
        self._stopped = False

    def soften(self) -> None:
        with self._guard:
            if self._child is not None:
                self._child.write(Soften())

    def stop(self, ending: Ending) -> bool:
        del ending
        with self._guard:
            self._stopped = True
            if self._child is not None:
                self._child.kill()
        return True

    def take(self, child: Child | None) -> bool:
        """The child to kill, None when the attempt is over; False when it was stopped before."""
        with self._guard:
            self._child = child
            return not self._stopped


class ChildPool:
    """Runs each attempt in a child process.

    A child that is left in order is used again, for up to `child_max_tasks`. As many stay as
    attempts are running, and at least `keep`, so that a burst does not leave its memory behind.
    """

    def __init__(
        self, slots: Slots, shared: Shared, app: Tidemill, settings: WorkerSettings, *, keep: int
    ) -> None:
        self.slots = slots
        self._keep = keep
        self._shared = shared
        self._path = path_of(app)
        self._memory_mib = settings.child_memory_mib
        self._max_tasks = settings.child_max_tasks
        self._idle: deque[Child] = deque()
        self._leaving: list[Child] = []
        self._guard = threading.Lock()
        self._threads = Threads(slots.size, "child")

    @property
    def usable(self) -> bool:
        """Whether a child process can import the application."""
        return self._path is not None

    async def attempt(self, run: Run, began: Began) -> Verdict:
        """Run it in a child, as soon as one is ready."""
        brake = ChildBrake()
        run.brake = brake
        entered(run, self._shared)
        try:
            return await self._threads.run(
                partial(self._attend, run, brake, began), _no_interruption
            )
        except Exception as error:  # noqa: BLE001  # the attempt failed, whatever it was
            return Verdict(raised(run.task_type, run.claim, error))

    def _attend(self, run: Run, brake: ChildBrake, began: Began) -> Verdict:
        try:
            child = self._ready_child()
        except _NotStarted as problem:
            return Verdict(not_started(run.task_type, run.claim, str(problem)))
        verdict = None
        if brake.take(child):
            self._shared.loop.call_soon_threadsafe(began, run)
            child.write(Do(run.claim))
            verdict = self._listen(child, run)
        brake.take(None)
        if verdict is None:
            how = "was stopped" if run.ending else child.how_it_ended()
            verdict = Verdict(crashed(run.task_type, run.claim, how))
        child.served += 1
        fresh = self._max_tasks is None or child.served < self._max_tasks
        if fresh and child.alive and brake.take(None) and len(self._idle) < self._wanted():
            self._idle.append(child)
        else:
            self._dismiss(child)
        return verdict

    def _dismiss(self, child: Child) -> None:
        child.dismiss()
        with self._guard:
            self._leaving = [each for each in [*self._leaving, child] if each.alive]

    def _wanted(self) -> int:
        others = self.slots.size - self.slots.free - 1
        return max(self._keep, others)

    def _ready_child(self) -> Child:
        while self._idle:
            with suppress(IndexError):  # another thread took it
                child = self._idle.pop()
                if child.alive:
                    return child
                child.close()
        if self._path is None:
            raise _NotStarted("no module holds the application, so that a child cannot import it")
        return Child(self._path, self._memory_mib)

    def _listen(self, child: Child, run: Run) -> Verdict | None:
        """Serve the child until its verdict; None when it ended without."""
        while True:
            match child.read():
                case Done() as done:
                    return done.verdict
                case Reported(progress):
                    self._shared.reports.progress(run, progress)
                case Logged(line):
                    self._shared.reports.log(run, line)
                case Spoke(logger, level, text, kept):
                    logging.getLogger(logger).log(level, "%s", text, extra={KEPT: kept})
                case Find(ids):
                    child.write(self._find(ids))
                case None:
                    return None
                case message:
                    raise WorkerError(f"a child process said {message} while it ran a task")

    def _find(self, ids: tuple[str, ...]) -> Found:
        asking = found(self._shared.engine, ids)
        try:
            tasks = asyncio.run_coroutine_threadsafe(asking, self._shared.loop).result()
        except EngineError as error:
            return Found((), str(error))
        return Found(tuple(tasks.values()))

    async def close(self) -> None:
        """End all children and the threads that drive them."""
        self._threads.close()
        children = [*self._idle, *self._leaving]
        for child in children:
            child.dismiss()
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, child.close) for child in children))


def _no_interruption(call: object) -> None:
    """Nothing is raised inside the thread that drives a child: the child is killed instead."""
    del call
