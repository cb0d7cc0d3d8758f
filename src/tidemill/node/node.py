"""A node: the loops of one process, joined. What `tidemill up` runs, to embed in a program."""

import asyncio
from datetime import timedelta

from tidemill.app import Tidemill
from tidemill.settings import WorkerSettings
from tidemill.sweeper import Sweeper
from tidemill.worker import Worker


class Node:
    """Runs an application's tasks in this process and keeps its engine in order.

    Any number of nodes work on one engine; none is special. One node runs once.
    """

    def __init__(self, app: Tidemill, settings: WorkerSettings | None = None) -> None:
        self._app = app
        self._worker = Worker(app, settings)
        self._sweeper = Sweeper(app, lease=(settings or app.settings.worker).lease)

    @property
    def name(self) -> str:
        """The worker's name, by which tasks and events know this process."""
        return self._worker.name

    @property
    def running(self) -> int:
        """How many tasks it holds."""
        return self._worker.running

    @property
    def draining(self) -> bool:
        """Whether it claims no more."""
        return self._worker.draining

    @property
    def recycle(self) -> bool:
        """Whether it ended so that a fresh process takes its place."""
        return self._worker.recycle

    def drain(self, reason: str = "", *, grace: timedelta | None = None) -> None:
        """Claim no more, let tasks finish within `grace` (else the settings'), release the rest.

        Safe to call from any thread, and again: the earliest end of grace holds.
        """
        self._worker.drain(reason, grace=grace)

    async def run(self) -> None:
        """Work until drained.

        Raises `ConfigError` for an application that cannot be run so, and the error of an engine
        that refuses. Cancelling it drains without grace.
        """
        sweeping = asyncio.ensure_future(self._sweeper.run())
        working = asyncio.ensure_future(self._worker.run())
        try:
            await asyncio.wait({sweeping, working}, return_when=asyncio.FIRST_COMPLETED)
            if sweeping.done():
                self.drain("the sweeper failed", grace=timedelta(0))
            await working
            if sweeping.done():
                await sweeping
        finally:
            sweeping.cancel()
            working.cancel()
            await asyncio.gather(sweeping, working, return_exceptions=True)
            await self._app.close()
