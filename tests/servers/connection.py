"""One connection through the proxy, and what its fault does to it."""

import asyncio
import contextlib
from collections import deque

from tests.servers.faults import (
    CutAfter,
    CutBefore,
    Delay,
    Direction,
    Fault,
    Refuse,
    ResetAfter,
    Swallow,
    acts_on,
)
from tests.servers.resp import Messages
from tests.servers.side import Side
from tests.servers.trigger import Trigger


class Cut(Exception):
    """The connection ends here, by a fault."""


class Connection:
    """Forwards whole messages in both directions until one side or a fault ends it."""

    def __init__(self, client: Side, server: Side, trigger: Trigger) -> None:
        self._client = client
        self._server = server
        self._trigger = trigger
        # The fault that each request that waits for its reply was hit by, in their order.
        self._waiting: deque[Fault | None] = deque()
        self._silent: set[Direction] = set()
        self._counting: ResetAfter | None = None
        self._counted = 0

    async def run(self) -> None:
        """Forward until it ends; then both sides are closed."""
        ways = [
            asyncio.create_task(self._forward("requests", self._client)),
            asyncio.create_task(self._forward("replies", self._server)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            ends = await asyncio.gather(*ways, return_exceptions=True)
            self._client.close()
            self._server.close()
            await asyncio.gather(self._client.closed(), self._server.closed())
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _forward(self, direction: Direction, source: Side) -> None:
        messages = Messages()
        with contextlib.suppress(ConnectionError, Cut):
            while data := await source.read():
                for message in messages.feed(data):
                    await self._pass(direction, message)
            await self._send(direction, messages.rest)
        if direction in self._silent:
            await asyncio.Event().wait()  # that it ended is not heard either

    async def _pass(self, direction: Direction, message: bytes) -> None:
        fault = self._asked(message) if direction == "requests" else self._answered(message)
        if isinstance(fault, Swallow):
            self._silent.add(direction)
        if direction in self._silent:
            if isinstance(fault, Swallow):
                self._trigger.strike()
            return
        match fault:
            case Delay(seconds=seconds):
                self._trigger.strike()
                await self._trigger.until_healed(fault, seconds)
            case CutBefore() | CutAfter():
                self._trigger.strike()
                raise Cut
            case ResetAfter():
                await self._count(fault, direction, message)
            case Swallow() | Refuse() | None:
                pass
        await self._send(direction, message)

    def _asked(self, request: bytes) -> Fault | None:
        """What happens to the request itself; its reply's fate is noted."""
        fault = self._trigger.fault
        if fault is not None and not self._hits(fault, request):
            fault = None
        now = fault if fault is not None and acts_on(fault, "requests") else None
        later = fault if fault is not None and acts_on(fault, "replies") else None
        if not _answered_by_pushes(request):
            self._waiting.append(later)
        return now

    def _answered(self, reply: bytes) -> Fault | None:
        """What happens to a reply, or to something that the server says unasked."""
        unasked = reply.startswith(b">") or not self._waiting
        noted = None if unasked else self._waiting.popleft()
        fault = self._trigger.fault
        if fault is None or not acts_on(fault, "replies"):
            return None
        # Also a reply that was asked for before the fault was set meets it, unless it is a cut.
        open_to_all = not isinstance(fault, CutAfter) and self._hits(fault, b"")
        return fault if noted is fault or open_to_all else None

    def _hits(self, fault: Fault, message: bytes) -> bool:
        match fault:
            case Refuse():
                return False
            case _:
                return fault is self._counting or fault.when in message

    async def _count(self, fault: ResetAfter, direction: Direction, message: bytes) -> None:
        if fault is not self._counting:
            self._counting, self._counted = fault, 0
        left = fault.size - self._counted
        self._counted += len(message)
        if self._counted >= fault.size:
            await self._send(direction, message[:left])
            self._client.reset()
            self._server.reset()
            self._trigger.strike()
            raise Cut

    async def _send(self, direction: Direction, data: bytes) -> None:
        await (self._server if direction == "requests" else self._client).send(data)


def _answered_by_pushes(request: bytes) -> bool:
    """Whether it is one of the commands around SUBSCRIBE, whose answers are pushed messages."""
    _, _, word, *_ = *request.split(b"\r\n", 3), b"", b""
    return word.upper().endswith(b"SUBSCRIBE")
