"""Waking whoever waits for tasks: one subscription for all waits of a session.

A message names queues that got something to claim. It may be lost with its connection, so every
wait ends after five seconds, and everybody is woken after each time the subscription was made.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from tidemill.backoff import exponential
from tidemill.engines.redis.faults import ErrorReply, Lost
from tidemill.engines.redis.link import Link
from tidemill.engines.redis.wire import Wire, packed
from tidemill.errors import EngineError

LONGEST_WAIT: Final = 5.0  # seconds: what a lost message costs

_LISTEN: Final = 5.0  # seconds of listening between two pings
_SILENCE: Final = 5.0  # seconds that a ping may stay without an answer
_WAITS: Final = exponential(0.05, cap=1, jitter=True)

Queues = tuple[str, ...] | None


class Wake:
    """Hears on a channel which queues have something to claim; listens from the first wait on."""

    def __init__(self, link: Link, channel: str) -> None:
        self._link = link
        self._channel = channel
        self._count = 0  # of everything heard
        self._heard: dict[str, int] = {}  # the count at which each queue was heard of last
        self._all = 0  # the count at which all queues were
        self._seen: dict[Queues, int] = {}  # the count that each kind of waiter knows of
        self._expected: dict[Queues, float] = {}  # when a rate lets the next task start, loop time
        self._waiting: list[tuple[Queues, asyncio.Future[None]]] = []
        self._listener: asyncio.Task[None] | None = None
        self._closed = False

    def expect(self, queues: Queues, within: int) -> None:
        """The next wait for these queues ends within so many microseconds, unless that is 0."""
        self._expected.pop(queues, None)
        if within:
            self._expected[queues] = asyncio.get_running_loop().time() + within / 1_000_000

    async def wait(self, queues: Queues, timeout: timedelta) -> None:
        """Return when one of the queues (None: any) may have something, or at the timeout.

        What was heard since the last wait for the same queues counts. It raises nothing: without
        a connection it waits for the timeout or five seconds, whichever is less.
        """
        if self._listener is None and not self._closed:
            self._listener = asyncio.create_task(self._listen())
        if self._latest(queues) <= self._seen.get(queues, 0):
            with self._bell(queues) as bell:
                await asyncio.wait([bell], timeout=self._longest(queues, timeout))
        self._seen[queues] = self._latest(queues)

    async def close(self) -> None:
        """Stop listening, and let everybody who waits go on. Closing twice is closing once."""
        self._closed = True
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            self._ring(None)

    def _longest(self, queues: Queues, timeout: timedelta) -> float:
        """Seconds that a wait lasts at most; loops round to milliseconds, so it does as well."""
        longest = min(timeout.total_seconds(), LONGEST_WAIT)
        expected = self._expected.pop(queues, math.inf)
        if expected == math.inf:
            return longest
        away = expected - asyncio.get_running_loop().time()
        return min(longest, max(0.0, math.ceil(away * 1_000) / 1_000))

    @contextlib.contextmanager
    def _bell(self, queues: Queues) -> Iterator[asyncio.Future[None]]:
        entry = (queues, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            yield entry[1]
        finally:
            self._waiting.remove(entry)

    def _latest(self, queues: Queues) -> int:
        if queues is None:
            return self._count
        return max([self._all, *(self._heard.get(queue, 0) for queue in queues)])

    def _ring(self, named: frozenset[str] | None) -> None:
        """Wake those who wait for these queues, None for everybody."""
        self._count += 1
        if named is None:
            self._all = self._count
        else:
            self._heard.update(dict.fromkeys(named, self._count))
        for queues, bell in self._waiting:
            if not bell.done() and (queues is None or named is None or named & {*queues}):
                bell.set_result(None)

    def _told(self, payload: bytes) -> None:
        self._ring(frozenset(payload.decode().split()) or None)

    async def _listen(self) -> None:
        """Keep a subscription for as long as nobody closes."""
        times = 0
        while True:
            with contextlib.suppress(Lost, EngineError):
                wire = await self._link.dial(self._told, silence=_SILENCE)
                try:
                    reply = await wire.ask(packed("SUBSCRIBE", self._channel))
                    if not isinstance(reply, ErrorReply):
                        times = 0
                        self._ring(None)
                        await _stay(wire)
                finally:
                    wire.close()
            times += 1
            await asyncio.sleep(_WAITS.delay(times).total_seconds())


async def _stay(wire: Wire) -> Any:
    """Ping the server now and then until it is `Lost`."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LISTEN):
                await wire.ended()
        await wire.ask(packed("PING"))
