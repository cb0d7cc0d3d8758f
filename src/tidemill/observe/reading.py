"""All metrics of a process in one reading."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from tidemill.app import Tidemill
from tidemill.metrics import Family, joined
from tidemill.observe.metrics import count_tasks
from tidemill.observe.process import process_families, watch_loop
from tidemill.observe.queues import Queues


class Metering:
    """The metrics of an application in this process, from now on; made on a running loop.

    `counted` gives what processes counted: this one's `app.metrics` unless said otherwise.
    """

    def __init__(
        self, app: Tidemill, counted: Callable[[], Iterable[Family]] | None = None
    ) -> None:
        observe(app)
        self._counted = counted or app.metrics.families
        self._queues = Queues(app)

    async def families(self) -> list[Family]:
        """Everything as it stands now, with what the engine says of its queues, by name."""
        queues = await self._queues.families()
        return joined([self._counted(), queues])


def observe(app: Tidemill) -> None:
    """Count what happens in this process from now on; doing it again changes nothing."""
    if app.metrics.first("observe"):
        count_tasks(app)
        app.metrics.source(process_families)


@asynccontextmanager
async def watching_loop(app: Tidemill) -> AsyncIterator[None]:
    """Measure how late the running event loop is, as long as the context is open."""
    if not app.metrics.first("loop"):
        yield
        return
    watching = asyncio.create_task(watch_loop(app))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
