"""The place of a worker in a node that runs no tasks."""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import timedelta


class Idle:
    """Has a worker's face and claims nothing: it only waits to be drained."""

    running = 0
    recycle = False

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._draining = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def draining(self) -> bool:
        """Whether it is to end."""
        return self._draining.is_set()

    def drain(self, reason: str = "", *, grace: timedelta | None = None) -> None:  # noqa: ARG002  # a worker's face
        """End at once. Safe to call from any thread, and again."""
        if self._loop is None:
            self._draining.set()
        else:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._draining.set)

    async def run(self) -> None:
        """Wait until drained."""
        self._loop = asyncio.get_running_loop()
        await self._draining.wait()
