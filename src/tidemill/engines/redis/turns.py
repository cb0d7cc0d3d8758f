"""Claims on a cluster: queues are looked at first, then each gives what its turn is."""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from tidemill.engine import ClaimRequest
from tidemill.engines.redis.keys import DIRECTORY
from tidemill.engines.redis.relay import relay
from tidemill.engines.redis.shard import Glance, Taken
from tidemill.engines.redis.shards import Shards
from tidemill.rotation import Turn, share
from tidemill.task import Claim


class Turns:
    """Shares claims between the queues; every session rotates by itself."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._passed: dict[str, int] = {}
        self._rotated = 0

    async def claim(self, request: ClaimRequest) -> Taken:
        """Take ready tasks of the queues whose turn it is."""
        names = await self._shards.queues() if request.queues is None else sorted(request.queues)
        places = [*names, DIRECTORY]
        seen = await asyncio.gather(*(self._shards.of(each).glance(request) for each in places))
        glances = dict(zip(places, seen, strict=True))
        known = [name for name, glance in glances.items() if glance.known]
        if known:
            return await self._take(request, dict.fromkeys(known, 0))
        away = [each.next_in for each in glances.values() if each.waits]
        while turns := self._next(request, glances):
            taken = await self._take(request, turns)
            away.append(taken.next_in)
            if taken.claims:
                return Taken(taken.claims, _soonest(away))
            # Others were faster, or all of it had expired or was of unknown types.
            glances = {name: each for name, each in glances.items() if name not in turns}
        # A claim id is remembered also when it takes nothing.
        await self._take(request, {DIRECTORY: 0})
        return Taken([], _soonest(away))

    def _next(self, request: ClaimRequest, glances: Mapping[str, Glance]) -> dict[str, int]:
        """How many tasks each queue gives."""
        turns = {
            name: Turn(
                self._passed.get(name, 0),
                glance.weight,
                min(
                    glance.gives,
                    min(request.limit, glance.beside) + min(request.alone, glance.alone),
                ),
            )
            for name, glance in glances.items()
        }
        shares = share(turns, self._rotated, request.limit)
        self._passed |= shares.passed
        self._rotated = shares.now
        return shares.take

    async def _take(self, request: ClaimRequest, take: Mapping[str, int]) -> Taken:
        claims: list[Claim] = []
        away: list[int] = []
        alone = request.alone
        for name, limit in take.items():
            shard = self._shards.of(name)
            part = msgspec.structs.replace(request, queues=None, limit=limit, alone=alone)
            taken = await shard.claim(part)
            await relay(shard, self._shards.of)
            alone -= sum(claim.alone for claim in taken.claims)
            claims += taken.claims
            away.append(taken.next_in)
        return Taken(sorted(claims, key=lambda claim: -claim.priority), _soonest(away))


def _soonest(away: Iterable[int]) -> int:
    """The least of them that is not 0."""
    return min(filter(None, away), default=0)
