"""What carries values from one stage to the next."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Belt(Generic[T]):
    """A bounded line of values between two stages on one loop.

    `put` never waits, as what it carries has already happened; who causes new values asks `room`
    first, so that the line stays near `limit`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: deque[T] = deque()
        self._carried = 0
        self._taker: asyncio.Future[None] | None = None
        self._makers: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._values) + self._carried

    def put(self, value: T) -> None:
        """Add a value at the end."""
        self._values.append(value)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def take(self, most: int) -> list[T]:
        """The first values, at least one; they count as carried until `done`."""
        while not self._values:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        self._taker = None
        values = self._values
        taken = [values.popleft() for _ in range(min(most, len(values)))]
        self._carried += len(taken)
        return taken

    def done(self, count: int) -> None:
        """So many of the values taken have arrived."""
        self._carried -= count
        if self._makers and self.has_room:
            makers, self._makers = self._makers, []
            for maker in makers:
                if not maker.done():
                    maker.set_result(None)

    @property
    def has_room(self) -> bool:
        """Whether the line is shorter than its limit."""
        return len(self) < self._limit

    async def room(self) -> None:
        """Return when there is room for more."""
        while not self.has_room:
            maker = asyncio.get_running_loop().create_future()
            self._makers.append(maker)
            await maker
