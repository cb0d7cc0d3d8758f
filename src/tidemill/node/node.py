"""A node: the loops of one process, joined. What `tidemill up` runs, to embed in a program."""

import asyncio
from datetime import timedelta

from tidemill import alerts, webhooks
from tidemill.app import Tidemill
from tidemill.node.idle import Idle
from tidemill.scheduler import Scheduler
from tidemill.settings import WorkerSettings
from tidemill.sweeper import Sweeper
from tidemill.worker import Worker


class Node:
    """Runs an application's tasks in this process, fires schedules, keeps the engine in order.

    Any number of nodes work on one engine; none is special. One node runs once. With `tasks=False`
    it runs none, as `tidemill scheduler` does.
    """

    def __init__(
        self, app: Tidemill, settings: WorkerSettings | None = None, *, tasks: bool = True
    ) -> None:
        self._app = app
        self._delivery = webhooks.Delivery(app)
        telling = alerts.Delivery(app, app.settings.alerts)
        own = (*self._delivery.task_types, *telling.task_types)
        self._worker = Worker(app, settings, own=own) if tasks else Idle()
        self._sweeper = Sweeper(app, lease=(settings or app.settings.worker).lease)
        self._scheduler = Scheduler(app)
        self._relay = webhooks.Relay(app)
        self._alerts = alerts.AlertWatch(app, app.settings.alerts, telling)

    @property
    def name(self) -> str:
        """Its name, by which tasks and events know this process."""
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
        keeping = {
            asyncio.ensure_future(self._sweeper.run()): "the sweeper failed",
            asyncio.ensure_future(self._scheduler.run()): "the scheduler failed",
            asyncio.ensure_future(self._relay.run()): "the relay of webhooks failed",
            asyncio.ensure_future(self._alerts.run()): "the watch of alerts failed",
        }
        working = asyncio.ensure_future(self._worker.run())
        try:
            await asyncio.wait({*keeping, working}, return_when=asyncio.FIRST_COMPLETED)
            for each, reason in keeping.items():
                if each.done():
                    self.drain(reason, grace=timedelta(0))
            await working
            for each in keeping:
                if each.done():
                    await each
        finally:
            for task in (*keeping, working):
                task.cancel()
            await asyncio.gather(*keeping, working, return_exceptions=True)
            await self._delivery.close()
            await self._app.close()
