"""Dramatiq."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from peers.program import Send
from peers.tally import mark

broker = RedisBroker(url=os.environ["STORE_URL"])
dramatiq.set_broker(broker)
stamp = dramatiq.actor(mark, actor_name="stamp")


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """One call for each task: Dramatiq has none for many."""

    async def send(numbers: Sequence[int]) -> None:
        for number in numbers:
            stamp.send(number)

    yield send
