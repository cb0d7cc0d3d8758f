"""SAQ."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop
from peers.program import Send
from peers.tally import mark
from saq import Queue

uvloop.install()
queue = Queue.from_url(os.environ["STORE_URL"])


async def stamp(_: dict[str, object], *, number: int) -> None:
    """Mark the task on the worker's loop."""
    mark(number)


settings = {
    "queue": queue,
    "functions": [stamp],
    "concurrency": int(os.environ.get("WIDTH", "10")),
}


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """One call for each task, several at once."""

    async def send(numbers: Sequence[int]) -> None:
        await asyncio.gather(*(queue.enqueue("stamp", number=number, ttl=-1) for number in numbers))

    await queue.connect()
    yield send
    await queue.disconnect()
