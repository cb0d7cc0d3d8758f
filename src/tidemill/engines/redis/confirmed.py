"""Writes that are answered only once enough replicas have them.

WAIT holds up the connection that it is sent on and vouches for all that was written on it before,
so such writes have a connection of their own and go in rounds: whatever was asked during a round
is sent together in the next one, with one WAIT behind it.
"""

import asyncio
from typing import Any, Final

from tidemill.engines.redis.address import Place
from tidemill.engines.redis.faults import ErrorReply, Lost, Unconfirmed
from tidemill.engines.redis.wire import Wire, packed

WAIT_MS: Final = 1_000


class Confirmed:
    """A connection for writes that so many replicas must have."""

    def __init__(self, wire: Wire, replicas: int) -> None:
        self._wire = wire
        self._replicas = replicas
        self._wait = packed("WAIT", replicas, WAIT_MS)
        self._next: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._busy = False

    @property
    def place(self) -> Place:
        """The server."""
        return self._wire.place

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._wire.closed

    def ask(self, data: bytes) -> asyncio.Future[Any]:
        """As `Wire.ask`, but the future also raises `Unconfirmed`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._next.append((data, future))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._begin)
        return future

    def close(self) -> None:
        """End the connection now."""
        self._wire.close()

    def _begin(self) -> None:
        asked, self._next = self._next, []
        answers = [(self._wire.ask(data), future) for data, future in asked]
        self._wire.ask(self._wait).add_done_callback(lambda wait: self._end(answers, wait))

    def _end(
        self,
        answers: list[tuple[asyncio.Future[Any], asyncio.Future[Any]]],
        wait: asyncio.Future[Any],
    ) -> None:
        lack = self._lack(wait)
        for answer, future in answers:  # they came before the one of WAIT
            if not future.done():
                _hand_over(answer, future, lack)
        if self._next:
            self._begin()
        else:
            self._busy = False

    def _lack(self, wait: asyncio.Future[Any]) -> Lost | Unconfirmed | None:
        """What the round's writes lack."""
        if error := wait.exception():
            assert isinstance(error, Lost)
            return error
        reply = wait.result()
        if isinstance(reply, ErrorReply):
            return Unconfirmed(self._wire.place, f"WAIT was refused ({reply.words})")
        if reply < self._replicas:
            return Unconfirmed(
                self._wire.place,
                f"only {reply} of {self._replicas} replicas confirmed it within "
                f"{WAIT_MS / 1_000:.0f} s",
            )
        return None


def _hand_over(
    answer: asyncio.Future[Any], future: asyncio.Future[Any], lack: Lost | Unconfirmed | None
) -> None:
    if error := answer.exception():
        future.set_exception(error)
    elif lack is not None and not isinstance(answer.result(), ErrorReply):
        future.set_exception(lack)
    else:
        future.set_result(answer.result())
