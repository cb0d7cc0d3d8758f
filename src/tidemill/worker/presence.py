"""Says at the engine that this worker is here, what it is, and what it does."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import msgspec
import psutil

from tidemill.engine import Engine, Put
from tidemill.errors import EngineError
from tidemill.settings import AUTO, WorkerSettings
from tidemill.worker.run import Run
from tidemill.worker.slots import Slots
from tidemill.worker_record import (
    MOST_TASKS,
    WORKER,
    HeldTask,
    SlotUse,
    WorkerRecord,
    WorkerState,
    encode,
)

PATIENCE = 5.0
"""Seconds after which a worker goes on without having said it: it works all the same."""


class Presence:
    """Keeps the record of one worker process; made on its loop, it speaks from any thread.

    `runs` gives what the worker holds, `slots` its pools by name, `draining` whether it ends. An
    engine that does not answer is no problem of it: the record is then older than it should be.
    """

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        task_types: tuple[str, ...],
        *,
        runs: Callable[[], Iterable[Run]],
        slots: Mapping[str, Slots],
        draining: Callable[[], bool],
    ) -> None:
        self._name = name
        self._settings = settings
        self._task_types = task_types
        self._runs = runs
        self._slots = slots
        self._draining = draining
        self._record: WorkerRecord | None = None
        self._process = psutil.Process()
        self._lag = LoopLag(asyncio.get_running_loop())

    async def tell(self, engine: Engine) -> None:
        """Write the record as it is now; the engine notes when it was heard of."""
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                self._record = self._record or await self._begun(engine)
                await engine.put([Put(WORKER, self._name, encode(self._now(self._record)))])

    async def withdraw(self, engine: Engine) -> None:
        """Remove the record: the worker ends in order."""
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await engine.put([Put(WORKER, self._name, None)])

    async def _begun(self, engine: Engine) -> WorkerRecord:
        settings = self._settings
        return WorkerRecord(
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=settings.queues,
            task_types=self._task_types,
            concurrency=self._slots["loop"].size,
            threads=settings.threads,
            children=settings.children,
            adaptive=settings.concurrency == AUTO,
            lease=settings.lease,
            started_at=(await engine.marks([])).at,
            version=_version(),
        )

    def _now(self, record: WorkerRecord) -> WorkerRecord:
        runs = list(self._runs())
        tasks = held_tasks(runs)
        with self._process.oneshot():
            cpu, memory = self._process.cpu_percent(), self._process.memory_info().rss
        return msgspec.structs.replace(
            record,
            concurrency=self._slots["loop"].size,
            threads=self._slots["thread"].size,
            running=len(runs),
            state=WorkerState.DRAINING if self._draining() else WorkerState.RUNNING,
            slots={
                name: SlotUse(size, size - each.free)
                for name, each in self._slots.items()
                for size in (each.size,)
            },
            tasks=tasks,
            left_out=len(runs) - len(tasks),
            cpu=cpu,
            memory=memory,
            loop_lag=self._lag.measure(),
        )


def held_tasks(runs: Iterable[Run]) -> tuple[HeldTask, ...]:
    """What a record says of runs: those that began, the longest first, then those that did not."""
    now = time.perf_counter()
    parts: dict[bool, list[Run]] = {True: [], False: []}
    for run in sorted(runs, key=lambda run: run.started):
        parts[run.begun].append(run)
    return tuple(
        HeldTask(
            id=run.claim.ref.task_id,
            task_type=run.claim.task_type,
            queue=run.claim.queue,
            attempt=run.claim.attempt,
            ran_for=timedelta(seconds=max(0.0, now - run.started)) if begun else None,
        )
        for begun, those in parts.items()
        for run in those[:MOST_TASKS]
    )


class LoopLag:
    """How long a loop lets a call wait that another thread makes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last: float | None = None
        self._asked_at: float | None = None

    def measure(self) -> timedelta | None:
        """What the last measure found, or more while that one still waits; begins the next one."""
        now = time.perf_counter()
        if self._asked_at is not None:
            self._last = max(self._last or 0.0, now - self._asked_at)
        else:
            self._asked_at = now
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._arrived, now)
        return None if self._last is None else timedelta(seconds=self._last)

    def _arrived(self, asked_at: float) -> None:
        self._last, self._asked_at = time.perf_counter() - asked_at, None


def _version() -> str:
    try:
        return version("tidemill")
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"
