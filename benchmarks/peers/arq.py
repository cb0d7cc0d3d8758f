"""arq."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from peers.program import Send
from peers.tally import mark

uvloop.install()
SETTINGS = RedisSettings.from_dsn(os.environ["STORE_URL"])


async def stamp(_: dict[str, object], number: int) -> None:
    """Mark the task on the worker's loop."""
    mark(number)


async def quiet(_: dict[str, object]) -> None:
    """A line of log for each task would be measured too."""
    logging.disable(logging.INFO)


class WorkerSettings:
    """What the command line of arq reads."""

    functions = (stamp,)
    on_startup = quiet
    redis_settings = SETTINGS
    max_jobs = int(os.environ.get("WIDTH", "10"))
    poll_delay = 0.005
    keep_result = 0


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """One call for each task, several at once."""
    pool = await create_pool(SETTINGS)

    async def send(numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), 50):
            some = numbers[start : start + 50]
            await asyncio.gather(*(pool.enqueue_job("stamp", number) for number in some))

    yield send
    await pool.aclose()
