"""RQ."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from peers.program import Send
from redis import Redis
from rq import Queue

TASK = "peers.tally.mark"
REDIS_URL = os.environ["STORE_URL"]
"""What the command line of RQ reads."""


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """Many tasks in one call, without results."""
    queue = Queue(connection=Redis.from_url(REDIS_URL))

    async def send(numbers: Sequence[int]) -> None:
        queue.enqueue_many(
            [Queue.prepare_data(TASK, (number,), result_ttl=0) for number in numbers]
        )

    yield send
