"""Answers kept for requests that are sent again: `Idempotency-Key`.

A key is noted in the engine before its request is carried out, with a seed from which the ids of
the tasks follow: whoever carries it out again, after a crash or an outage in between, enqueues the
same tasks. The finished answer is noted in the same document and kept for a day.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidemill.api.problems import invalid, refused
from tidemill.app import Tidemill
from tidemill.engine import Document, Put
from tidemill.errors import EngineError, TidemillError
from tidemill.ids import queue_mark
from tidemill.interface.problems import FieldProblem
from tidemill.sealing import unsealed

KIND: Final = "idempotency"
"""The kind of the documents, by the hash of the key and of whose it is."""

KEPT_FOR: Final = timedelta(hours=24)
IN_FLIGHT_FOR: Final = timedelta(seconds=120)
"""How long a request is taken to be under way when nothing is heard of it."""

LONGEST_KEY: Final = 255
SWEEP_EVERY: Final = timedelta(seconds=60)

_SHARDS: Final = 256
_MARK_BITS: Final = 16
_COUNTED_BITS: Final = 46  # between the variant of a UUID and the mark of the queue


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is noted of a key: which request, its seed, and its answer once there is one.

    `in_flight`: somebody carries it out.
    """

    request: str
    seed: str
    in_flight: bool = True
    status: int | None = None
    headers: dict[str, str] = {}
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True):
    """An answer that is kept as it is, and whether it is the one of an earlier request."""

    status: int | None
    headers: dict[str, str]
    body: bytes


Run = Callable[[str], Awaitable[Reply]]

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Kept)


class Idempotency:
    """Carries requests out once per key."""

    def __init__(self, app: Tidemill) -> None:
        self._app = app
        self._sweeping: asyncio.Task[None] | None = None

    async def once(self, whose: str, key: str, request: bytes, run: Run) -> tuple[Reply, bool]:
        """Carry a request out, or answer what it was answered before (then the second is True).

        Callers have keys of their own, and `whose` this one is. `request` is what must be the same
        again. Raises `Refused`: 422 when the key was used for another request, 409 while it is
        under way. What `run` raises is not kept.
        """
        name, digest = _name(whose, key), hashlib.sha256(request).hexdigest()
        engine = await self._app.engine()
        self._begin_sweeping()
        mine = Kept(request=digest, seed=self._app.new_id(""))
        [noted] = await engine.put([Put(KIND, name, _encode(mine), 0)])
        if noted is None:
            [found] = await engine.get(KIND, [name])
            if found is None:  # it was removed in between
                raise _in_flight()
            kept = _decoder.decode(unsealed(found.body))
            now = (await engine.marks(())).at
            if now - found.at <= KEPT_FOR:
                if kept.request != digest:
                    raise _mismatch()
                if kept.status is not None:
                    return Reply(kept.status, kept.headers, kept.body), True
                if kept.in_flight and now - found.at <= IN_FLIGHT_FOR:
                    raise _in_flight()
                mine = msgspec.structs.replace(kept, in_flight=True)
            [noted] = await engine.put([Put(KIND, name, _encode(mine), found.version)])
            if noted is None:
                raise _in_flight()
        try:
            reply = await run(mine.seed)
        except BaseException as error:
            await self._withdraw(noted, mine, error)
            raise
        done = msgspec.structs.replace(
            mine,
            in_flight=False,
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
        )
        await engine.put([Put(KIND, name, _encode(done), noted.version)])
        return reply, False

    async def _withdraw(self, noted: Document, mine: Kept, error: BaseException) -> None:
        """Let the request be sent again: with another body only if it surely did nothing."""
        unknown = isinstance(error, EngineError) or not isinstance(error, Exception)
        idle = _encode(msgspec.structs.replace(mine, in_flight=False)) if unknown else None
        try:
            engine = await self._app.engine()
            await engine.put([Put(KIND, noted.key, idle, noted.version)])
        except TidemillError:
            return  # the engine is away: the note runs out by itself

    # cleaning up

    def _begin_sweeping(self) -> None:
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._sweep())

    def stop(self) -> None:
        """Clean up no more."""
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def _sweep(self) -> None:
        """Remove what is kept too long, a part of the keys at a time; harmless from many nodes."""
        shard = 0
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            try:
                await self.remove_old(f"{shard:02x}")
            except TidemillError:
                continue  # the engine is away
            shard = (shard + 1) % _SHARDS

    async def remove_old(self, prefix: str = "") -> int:
        """Remove answers older than a day whose hashed key begins so; answers how many."""
        engine = await self._app.engine()
        now = (await engine.marks(())).at
        found = await engine.documents(KIND, prefix)
        old = [each for each in found if _is_old(each, now)]
        await engine.put([Put(KIND, each.key, None, each.version) for each in old])
        return len(old)


def nth_id(seed: str, number: int, queue: str) -> str:
    """The id of the n-th task of a request: the same each time, in order, with its queue's mark."""
    value = uuid.UUID(seed).int
    high, counted = value >> (_COUNTED_BITS + _MARK_BITS), value >> _MARK_BITS
    counted = (counted + number) & ((1 << _COUNTED_BITS) - 1)
    made = (high << _COUNTED_BITS | counted) << _MARK_BITS | queue_mark(queue)
    return str(uuid.UUID(int=made))


def _is_old(document: Document, now: datetime) -> bool:
    return now - document.at > KEPT_FOR


def _name(whose: str, key: str) -> str:
    if not 1 <= len(key) <= LONGEST_KEY:
        raise invalid(
            FieldProblem("Idempotency-Key", f"is a text of 1 to {LONGEST_KEY} characters")
        )
    told = f"{hashlib.sha256(whose.encode()).hexdigest()}/{key}"
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()


def _in_flight() -> Exception:
    return refused(
        "idempotency-in-flight",
        409,
        "A request with this Idempotency-Key is under way.",
        headers={"Retry-After": "1"},
    )


def _mismatch() -> Exception:
    return refused(
        "idempotency-mismatch",
        422,
        "This Idempotency-Key was used for another request.",
        fields=(FieldProblem("Idempotency-Key", "was used for another request"),),
    )
