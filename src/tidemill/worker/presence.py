"""Says at the engine that this worker is here, and what it is."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import msgspec

from tidemill.engine import Engine, Put
from tidemill.errors import EngineError
from tidemill.settings import WorkerSettings
from tidemill.worker_record import WORKER, WorkerRecord, encode

PATIENCE = 5.0
"""Seconds after which a worker goes on without having said it: it works all the same."""


class Presence:
    """Keeps the record of one worker process; `running` gives how many tasks it holds.

    An engine that does not answer is no problem of it: the record is then older than it should be.
    """

    def __init__(
        self,
        name: str,
        settings: WorkerSettings,
        task_types: tuple[str, ...],
        running: Callable[[], int],
    ) -> None:
        self._name = name
        self._settings = settings
        self._task_types = task_types
        self._running = running
        self._record: WorkerRecord | None = None

    async def tell(self, engine: Engine) -> None:
        """Write the record as it is now; the engine notes when it was heard of."""
        with suppress(EngineError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                self._record = self._record or await self._begun(engine)
                record = msgspec.structs.replace(self._record, running=self._running())
                await engine.put([Put(WORKER, self._name, encode(record))])

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
            concurrency=settings.concurrency,
            threads=settings.threads,
            children=settings.children,
            started_at=(await engine.marks([])).at,
            version=_version(),
        )


def _version() -> str:
    try:
        return version("tidemill")
    except PackageNotFoundError:  # run from a folder of sources
        return "unknown"
