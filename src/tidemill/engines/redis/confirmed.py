"""Writes that are answered only once enough replicas, or the disk, have them.

WAIT and WAITAOF hold up the connection that they are sent on and vouch for all that was written
on it before, so such writes have a connection of their own and go in rounds: whatever was asked
during a round is sent together in the next one, with one WAIT behind it.
"""

import asyncio
from typing import Any, Final

from tidemill.engines.redis.address import Address
from tidemill.engines.redis.faults import ErrorReply, Lost, Unconfirmed
from tidemill.engines.redis.wire import Wire, packed
from tidemill.errors import EngineRefused

WAIT_MS: Final = 1_000
DISK_MS: Final = 3_000  # with `everysec` the disk is up to a second behind, and then it is slow


class Confirmed:
    """A connection for writes; made by `confirmed`."""

    def __init__(self, wire: Wire, *, replicas: int, disk: bool) -> None:
        self._wire = wire
        self._replicas = replicas
        self._disk = disk
        self._proofs = [packed("WAIT", replicas, WAIT_MS)] if replicas else []
        self._proofs += [packed("WAITAOF", 1, 0, DISK_MS)] if disk else []
        self._next: list[tuple[bytes, asyncio.Future[Any]]] = []
        self._busy = False

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
        proofs = [self._wire.ask(proof) for proof in self._proofs]
        done = asyncio.gather(*(answer for answer, _ in answers), *proofs, return_exceptions=True)
        done.add_done_callback(lambda _: self._end(answers, proofs))

    def _end(
        self,
        answers: list[tuple[asyncio.Future[Any], asyncio.Future[Any]]],
        proofs: list[asyncio.Future[Any]],
    ) -> None:
        lack = self._lack(proofs)
        for answer, future in answers:
            if not future.done():
                _hand_over(answer, future, lack)
        if self._next:
            self._begin()
        else:
            self._busy = False

    def _lack(self, proofs: list[asyncio.Future[Any]]) -> Exception | None:
        """What is missing of the round's confirmations."""
        for proof in proofs:
            if error := proof.exception():
                assert isinstance(error, Lost)
                return error
            reply = proof.result()
            if isinstance(reply, ErrorReply):
                return Unconfirmed(self._wire.place, f"nothing confirmed it ({reply.words})")
            if isinstance(reply, list) and not reply[0]:
                return Unconfirmed(
                    self._wire.place, f"its disk did not within {DISK_MS / 1_000:.0f} s"
                )
            if isinstance(reply, int) and reply < self._replicas:
                return Unconfirmed(
                    self._wire.place,
                    f"only {reply} of {self._replicas} replicas confirmed it within "
                    f"{WAIT_MS / 1_000:.0f} s",
                )
        return None


def _hand_over(
    answer: asyncio.Future[Any], future: asyncio.Future[Any], lack: Exception | None
) -> None:
    if error := answer.exception():
        future.set_exception(error)
    elif lack is not None and not isinstance(answer.result(), ErrorReply):
        future.set_exception(lack)
    else:
        future.set_result(answer.result())


async def confirmed(wire: Wire, address: Address) -> Confirmed:
    """Use a connection for writes that need confirming."""
    disk = address.durability == "strict" and await _disk_tells(wire)
    return Confirmed(wire, replicas=address.replicas, disk=disk)


async def _disk_tells(wire: Wire) -> bool:
    """Whether WAITAOF can vouch for the disk; False when every answer does (appendfsync always)."""
    reply = await wire.ask(packed("WAITAOF", 1, 0, 1))
    if not isinstance(reply, ErrorReply):
        return True
    policy = await wire.ask(packed("CONFIG", "GET", "append*"))
    words = [] if isinstance(policy, ErrorReply) else policy
    found = dict(zip(words[::2], words[1::2], strict=True))
    if found.get(b"appendonly") == b"yes" and found.get(b"appendfsync") == b"always":
        return False
    raise EngineRefused(
        f"{wire.place} cannot promise durability=strict: it needs appendonly yes, and either "
        "appendfsync always or WAITAOF (Redis 7.2, Valkey 7.2), which says: " + reply.words
    )
