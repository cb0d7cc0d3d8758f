"""Enqueues on a peer, in its environment: `python -m peers.program PEER enqueue|trickle COUNT`.

`enqueue` sends so many tasks as fast as the peer's own client can. `trickle` sends them one by one
at random moments, each with the nanoseconds of its sending as its number. Every module beside this
one has a `producer` for it; the store's URL is in `STORE_URL`, the file of marks in `TALLY`.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module

Send = Callable[[Sequence[int]], Awaitable[object]]
Producer = Callable[[], AbstractAsyncContextManager[Send]]

BATCH = 500


async def enqueue(producer: Producer, tasks: int) -> None:
    """Send tasks with the numbers from 0."""
    async with producer() as send:
        for start in range(0, tasks, BATCH):
            await send(range(start, min(start + BATCH, tasks)))


async def trickle(producer: Producer, tasks: int) -> None:
    """Send tasks 10 to 50 ms apart."""
    rng = random.Random(0)
    async with producer() as send:
        for _ in range(tasks):
            await asyncio.sleep(rng.uniform(0.01, 0.05))
            await send([time.monotonic_ns()])


if __name__ == "__main__":
    peer, verb, count = sys.argv[1:]
    work = {"enqueue": enqueue, "trickle": trickle}[verb]
    asyncio.run(work(import_module(f"peers.{peer}").producer, int(count)))
