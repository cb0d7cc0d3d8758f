"""Taskiq on Redis Streams."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from peers.program import Send
from peers.tally import mark
from taskiq_redis import RedisStreamBroker

# The group begins at the stream's start, else what was enqueued before a worker is never run.
broker = RedisStreamBroker(os.environ["STORE_URL"], consumer_id="0")


async def begun(number: int) -> None:
    """Mark the task on the worker's loop."""
    mark(number)


stamp = broker.task(task_name="stamp")(begun)


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """One call for each task, many at once."""

    async def send(numbers: Sequence[int]) -> None:
        await asyncio.gather(*(stamp.kiq(number) for number in numbers))

    await broker.startup()
    yield send
    await broker.shutdown()
