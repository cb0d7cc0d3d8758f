"""Huey, on SQLite or on Redis, as the URL says."""

# mypy: disable-error-code="import-not-found,import-untyped"
# Peers are installed in an environment of their own.

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from huey import RedisHuey, SqliteHuey
from peers.program import Send
from peers.tally import mark

_URL, _, _SAID = os.environ["STORE_URL"].partition("?")
_FILE = _URL.removeprefix("sqlite:///")

if _FILE == _URL:
    queue = RedisHuey(url=_URL, results=False)
else:
    queue = SqliteHuey(filename=_FILE, results=False, fsync=_SAID != "fsync=off")

stamp = queue.task(name="stamp")(mark)


@asynccontextmanager
async def producer() -> AsyncIterator[Send]:
    """One call for each task: Huey has none for many."""

    async def send(numbers: Sequence[int]) -> None:
        for number in numbers:
            stamp(number)

    yield send
