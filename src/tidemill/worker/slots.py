"""How many tasks may run at once in one pool."""

import asyncio


class Slots:
    """Counts the free slots of a pool; may fall below zero when more is taken than there is."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.free = size
        self._waiters: list[asyncio.Future[None]] = []

    def take(self, count: int = 1) -> None:
        """Occupy slots."""
        self.free -= count

    def give(self, count: int = 1) -> None:
        """Free slots, and wake who waits for one."""
        self.free += count
        if self._waiters and self.free > 0:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def resize(self, size: int) -> None:
        """Have so many slots from now on.

        What occupies a slot keeps it: with fewer slots than are taken, `free` is below zero until
        enough of them were given back.
        """
        added = size - self.size
        self.size = size
        self.give(added)

    async def available(self) -> None:
        """Return when a slot is free."""
        while self.free <= 0:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
