"""A lab on a store by its URL, and a look from outside at the keys that it leaves."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from tests.engines.redis.samples import linked
from tests.servers.client import ask
from tidemill.clock import Clock
from tidemill.engines import open_engine
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.keys import NAMES, root
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.wire import Word
from tidemill.testing.lab import Lab, LabClock


class Look:
    """Reads a store's keys over a connection of its own."""

    def __init__(self, url: str, link: Link) -> None:
        self._address = parse(url)
        self._link = link

    def key(self, name: str, about: str = "", *, queue: str = "default") -> str:
        """A key by its name in `keys.py`; on a cluster that of this queue."""
        spread = self._address.mode == "cluster"
        return root(self._address.prefix, queue if spread else None) + NAMES[name] + about

    async def ask(self, command: str, key: str, *words: Word) -> Any:
        """One command about one key, which its name may say in two words."""
        return await self._link.command(*command.split(), key, *words, key=key)

    async def lanes(self) -> dict[str, int]:
        """How many entries each lane has, by what stands behind `lane:`."""
        found = [key for key in await self.keys() if f":{NAMES['lane']}" in key]
        return {key.partition(":lane:")[2]: await self.ask("XLEN", key) for key in found}

    async def keys(self) -> set[str]:
        """Every key of every server, of whatever prefix."""
        pages = [page async for page in self._link.scan("*")]
        return {key.decode() for page in pages for key in page}

    async def entries(self, key: str) -> list[dict[str, str]]:
        """The entries of a stream, oldest first."""
        return [
            {
                name.decode(): value.decode()
                for name, value in zip(flat[::2], flat[1::2], strict=True)
            }
            for _, flat in await self.ask("XRANGE", key, "-", "+")
        ]


@contextlib.asynccontextmanager
async def looking(url: str) -> AsyncIterator[Look]:
    """Look at the store of a URL."""
    async with linked(url) as link:
        yield Look(url, link)


@contextlib.asynccontextmanager
async def opened(url: str, *, clock: Clock | None = None, first: int = 1) -> AsyncIterator[Lab]:
    """A lab on the store of a URL, on the server's clock unless one is given.

    Its ids are numbered from `first` on: two labs of one store need numbers of their own.
    """
    engine = open_engine(url, clock=clock)
    try:
        await engine.migrate()
        numbers = itertools.count(first)
        yield Lab(engine, clock if isinstance(clock, LabClock) else LabClock(), numbers)
    finally:
        await engine.close()


def command(url: str, *words: Word) -> list[Any]:
    """The answers of all servers of a URL to one command, with every right."""
    return [ask(place.port, *words) for place in parse(url).places]


async def comes_true(fact: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so; `TimeoutError` after 30 s."""
    async with asyncio.timeout(30):
        while True:
            if await fact():
                return
            await asyncio.sleep(0.002)
