"""An application at work on a store: one node, and what the tests enqueue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from tests.worker.facts import Facts
from tidemill import TaskStarted, Tidemill
from tidemill.app.handle import Handle
from tidemill.node import Node
from tidemill.settings import WorkerSettings

SOON = 10.0
"""Seconds within which an idle worker must have done what is enqueued after a fault has ended."""


class Site:
    """An application with a task that answers at once, and one that waits until `go` is set."""

    def __init__(self, url: str) -> None:
        self.app = Tidemill(url)
        self.facts = Facts(self.app)
        self.go = asyncio.Event()
        self.ran: list[int] = []

        @self.app.task(name="quick")
        async def quick(number: int) -> int:
            self.ran.append(number)
            return number

        @self.app.task(name="slow")
        async def slow(number: int) -> int:
            self.ran.append(number)
            await self.go.wait()
            return number

        self.quick = quick
        self.slow = slow

    async def begin(self, number: int) -> Handle[int]:
        """Enqueue a slow task, and return once it runs."""
        handle = await self.slow.enqueue(number)
        await self.facts.first(TaskStarted, lambda event: event.task_id == handle.id)
        return handle

    async def works(self, number: int) -> None:
        """Enqueue a task and see it done soon."""
        handle = await self.quick.enqueue(number)
        assert await handle.result(SOON) == number


@contextlib.asynccontextmanager
async def at_work(url: str) -> AsyncIterator[Site]:
    """A site whose node runs, has done something, and drains at the end of the block."""
    site = Site(url)
    node = Node(site.app, WorkerSettings(heartbeat=timedelta(seconds=0.2)))
    running = asyncio.create_task(node.run())
    try:
        await site.works(0)
        yield site
        assert not running.done()
    finally:
        site.go.set()
        node.drain("the test is over", grace=timedelta(0))
        await running
