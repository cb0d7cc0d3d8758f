"""Celery."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from celery import Celery
from peers.program import Send
from peers.tally import mark

app = Celery("peer", broker=os.environ["STORE_URL"])
app.conf.task_ignore_result = True
app.conf.worker_hijack_root_logger = False
stamp = app.task(mark, name="stamp")


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """One call for each task: Celery has none for many."""
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as channel:

        async def send(numbers: Sequence[int]) -> None:
            for number in numbers:
                stamp.apply_async((number,), producer=channel)

        yield send
