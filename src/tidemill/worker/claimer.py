"""The first stage: takes as many tasks as a pool has free slots."""

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from tidemill.engine import ClaimRequest, Engine
from tidemill.events import Bus, TasksClaimed
from tidemill.task import Claim
from tidemill.worker.adaptive import Ask, Shares, Undivided
from tidemill.worker.belt import Belt
from tidemill.worker.insist import insist
from tidemill.worker.slots import Slots

POLL = timedelta(seconds=1)
"""How long one wait for a hint lasts: what a missed hint costs at most."""

LONGEST_PAUSE = 0.05
"""Seconds between hints that lead to nothing, as when only tasks of unknown types are pending."""


class Claimer:
    """Claims for one pool: waits for a free slot, claims, hands over; waits where there is nothing.

    `request` says what to ask for; its id and its numbers are filled in for each call. `beside` are
    the slots of the pool that takes tasks which must run alone. `settling` is the belt whose room
    bounds what this worker holds but has not settled. `allowance` bounds the next claim further.
    `shares` says how much of each queue to ask for; without, all queues share all slots.
    """

    def __init__(
        self,
        engine: Engine,
        bus: Bus,
        request: ClaimRequest,
        *,
        slots: Slots,
        beside: Slots,
        settling: Belt[Any],
        allowance: Callable[[], int],
        deliver: Callable[[Sequence[Claim]], None],
        shares: Shares | None = None,
    ) -> None:
        self._engine = engine.session()  # its hints are for the types that this pool asks for
        self._bus = bus
        self._request = request
        self._slots = slots
        self._shares = shares or Undivided(request.queues)
        self._beside = beside
        self._settling = settling
        self._allowance = allowance
        self._deliver = deliver
        self._stopping = asyncio.Event()
        self._fruitless = 0
        self._waiting: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """Claim no more; a claim that is under way is still delivered."""
        self._stopping.set()
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Claim until stopped."""
        try:
            await self._claim_on()
        finally:
            await self._engine.close()

    async def _claim_on(self) -> None:
        while not self._stopping.is_set():
            if self._slots.free <= 0 or not self._settling.has_room:
                await self._unless_stopped(self._demand)
                continue
            if self._allowance() <= 0:
                return
            asks = self._shares.asks(min(self._slots.free, self._at_once))
            if not asks:
                await self._unless_stopped(self._shares.room)
            elif await self._claim_all(asks):
                self._fruitless = 0
            else:
                await self._unless_stopped(partial(self._more, asks))

    @property
    def _at_once(self) -> int:
        # While one half runs, the engine looks for the other: a claim of all slots would leave the
        # worker idle until it is answered, then the engine until all of it has run. Three drains
        # each on Redis 7.0, in tasks/s: 12,798, 16,482, 16,589 with whole claims; 14,954, 20,609,
        # 23,560 with halves.
        return max(1, self._slots.size // 2)

    async def _claim_all(self, asks: Sequence[Ask]) -> bool:
        """Claim and deliver as long as there are slots; whether there was anything."""
        any_claimed = False
        for ask in asks:
            limit = min(ask.limit, self._slots.free, self._allowance())
            if limit <= 0 or self._stopping.is_set():
                break
            claims = await self._claim(ask.queues, limit)
            self._shares.answered(Ask(ask.queues, limit), claims)
            if claims:
                any_claimed = True
                self._deliver(claims)
        return any_claimed

    async def _claim(self, queues: tuple[str, ...] | None, limit: int) -> list[Claim]:
        request = msgspec.structs.replace(
            self._request,
            claim_id=str(uuid.uuid4()),
            queues=queues,
            limit=limit,
            alone=min(limit, max(0, self._beside.free)),
        )
        started = time.perf_counter()
        claims = await insist("claim", lambda: self._engine.claim(request), self._bus)
        if claims and self._bus.wanted(TasksClaimed):
            took = timedelta(seconds=time.perf_counter() - started)
            self._bus.emit(TasksClaimed(len(claims), took))
        return claims

    async def _demand(self) -> None:
        await self._slots.available()
        await self._settling.room()

    async def _hint(self, queues: tuple[str, ...] | None) -> None:
        if self._fruitless:
            await asyncio.sleep(min(LONGEST_PAUSE, 0.001 * 2**self._fruitless))
        started = time.monotonic()
        await insist("wait", lambda: self._engine.wait(queues, POLL), self._bus)
        at_once = time.monotonic() - started < LONGEST_PAUSE
        self._fruitless = min(self._fruitless + 1, 10) if at_once else 0

    async def _more(self, asks: Sequence[Ask]) -> None:
        """Wait for something to claim, or for what was not asked for to be worth asking."""
        named = [ask.queues for ask in asks if ask.queues is not None]
        queues = tuple(chain.from_iterable(named)) if len(named) == len(asks) else None
        waiting = [self._hint(queues)]
        if self._beside.free <= 0:  # tasks that must run alone were not asked for
            waiting.append(self._beside.available())
        if self._shares.withheld:
            waiting.append(self._shares.room())
        first = {asyncio.ensure_future(each) for each in waiting}
        try:
            done, _ = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in first:
                each.cancel()
            await asyncio.gather(*first, return_exceptions=True)

    async def _unless_stopped(self, waiting: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._stopping.is_set():
            return  # while a claim was under way, with nothing to cancel then
        self._waiting = asyncio.ensure_future(waiting())
        try:
            await asyncio.wait({self._waiting})
            if not self._waiting.cancelled():
                self._waiting.result()
        finally:
            self._waiting.cancel()
            self._waiting = None
