"""Keeps worker processes running: starts them, replaces those that end, passes signals on.

Each is a clean interpreter, so that nothing is shared by accident. Also works as process 1 of a
container, where orphaned grandchildren are its to wait for.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import timedelta

import msgspec

from tidemill.backoff import exponential
from tidemill.node.process import RECYCLE, SIGNALS, run_process
from tidemill.settings import WorkerSettings

BACKOFF = exponential(0.5, cap=30)
HEALTHY_AFTER = 60.0
"""Seconds after which an end is no longer counted together with those before."""

FATAL = frozenset({2, 4})
"""Exit codes that a restart would only repeat: a wrong setting, an engine that refuses."""

OVERTIME = timedelta(seconds=15)
"""How long after the grace time a process may take to end before it is killed."""


class ProcessEnded(msgspec.Struct, frozen=True):
    """A worker process ended.

    `code` is negative for a signal; `again_in` is None when none is started in its place.
    """

    number: int
    pid: int
    code: int
    again_in: timedelta | None


def run_worker(
    app_path: str,
    settings: WorkerSettings | None = None,
    *,
    processes: int = 1,
    told: Callable[[ProcessEnded], object] = lambda _: None,
    command: Sequence[str] | None = None,
    beside: AbstractAsyncContextManager[object] | None = None,
) -> int:
    """Run `processes` worker processes of the application at `module:attribute` until a signal.

    One worker that is not to be recycled is this very process; others are children of it, which
    are replaced when they end. Answers the exit code: 0 when all ended in order. `told` hears of
    each child that ends. `command` starts a child in another way, as the command line does.
    `beside` is open as long as there are children. Must be called on the main thread. Settings of
    None are the application's own; their grace time is not known here, and then no process is
    killed that takes longer.
    """
    if command is None and processes == 1 and not _needs_parent(settings):
        return run_process(app_path, settings)
    patience = None if settings is None else settings.grace + OVERTIME
    own = [sys.executable, "-m", "tidemill.node", app_path, encode_settings(settings)]
    supervisor = _Supervisor(command or own, patience, told)

    async def run() -> int:
        async with beside or nullcontext():
            return await supervisor.run(processes)

    return asyncio.run(run())


def _needs_parent(settings: WorkerSettings | None) -> bool:
    """Whether even a single worker has to be started again, or orphans are to be waited for."""
    recycles = settings is not None and (settings.max_tasks or settings.max_memory_mib)
    return bool(recycles) or os.getpid() == 1


def exit_code(code: int) -> int:
    """The supervisor's own exit code for that of a process that was asked to end.

    A process that had not begun yet ends by the very signal; other signals count as 1.
    """
    if code in {0, RECYCLE, -signal.SIGTERM}:
        return 0
    return code if code > 0 else 1


def encode_settings(settings: WorkerSettings | None) -> str:
    """Settings as a word of a command line."""
    return msgspec.json.encode(settings).decode()


def decode_settings(text: str) -> WorkerSettings | None:
    """Settings from a word of a command line."""
    return msgspec.json.decode(text, type=WorkerSettings | None)


class _Supervisor:
    def __init__(
        self,
        command: Sequence[str],
        patience: timedelta | None,
        told: Callable[[ProcessEnded], object],
    ) -> None:
        self._command = command
        self._patience = patience
        self._told = told
        self._stopping = asyncio.Event()
        self._running: set[asyncio.subprocess.Process] = set()
        self._code = 0

    async def run(self, processes: int) -> int:
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.add_signal_handler(each, self._stop)
        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, self._wait_for_orphans)
        async with asyncio.TaskGroup() as group:
            for number in range(1, processes + 1):
                group.create_task(self._keep(number))
        return self._code

    async def _keep(self, number: int) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            # A group of its own: Ctrl-C reaches this process alone, which passes it on once.
            process = await asyncio.create_subprocess_exec(*self._command, process_group=0)
            self._running.add(process)
            if self._stopping.is_set():
                process.send_signal(signal.SIGTERM)
            code = await process.wait()
            self._running.discard(process)
            if code in FATAL:
                self._stop()
            if self._stopping.is_set():
                self._code = self._code or exit_code(code)
                self._told(ProcessEnded(number, process.pid, code, None))
                return
            if code in {0, RECYCLE}:
                failures, pause = 0, timedelta(0)
            else:
                lived_long = time.monotonic() - started > HEALTHY_AFTER
                failures = 1 if lived_long else failures + 1
                pause = BACKOFF.delay(failures)
            self._told(ProcessEnded(number, process.pid, code, pause))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause.total_seconds()):
                    await self._stopping.wait()

    def _stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            if self._patience is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(self._patience.total_seconds(), self._pass_on, signal.SIGKILL)
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, what: signal.Signals) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                process.send_signal(what)

    def _wait_for_orphans(self) -> None:
        own = {process.pid for process in self._running}
        with suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid in own:
                    return  # asyncio waits for it
                os.waitpid(found.si_pid, 0)
