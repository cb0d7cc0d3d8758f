"""Tidemill, measured by the same means as its peers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import workload
from peers.program import Send


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """Many tasks in one call."""

    async def send(numbers: Sequence[int]) -> None:
        await workload.tallied.enqueue_many([{"number": number} for number in numbers])

    yield send
    await workload.app.close()
