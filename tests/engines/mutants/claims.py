"""Engines that confuse claims: each breaks one rule about fences, tokens or claim ids."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from tidemill.engine import ClaimRequest, Extension, Hold
from tidemill.engines.memory import MemoryEngine
from tidemill.outcome import Released, Settlement, Snoozed
from tidemill.task import Claim, ClaimRef, State


class _Forging(MemoryEngine):
    """Settles and extends with another claim than the caller's."""

    def forge(self, ref: ClaimRef) -> ClaimRef:
        raise NotImplementedError

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        forged = [
            msgspec.structs.replace(each, claim=self.forge(each.claim)) for each in settlements
        ]
        return await super().settle(forged, tx=tx)

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        forged = [
            msgspec.structs.replace(each, claim=self.forge(each.claim)) for each in extensions
        ]
        return await super().extend(forged, lease)


class Unfenced(_Forging):
    """Settles by task id, the commonest bug of the field."""

    def forge(self, ref: ClaimRef) -> ClaimRef:
        record = self._books.records.get(ref.task_id)
        if record is None:
            return ref
        record.claim_id = record.claim_id or ref.claim_id
        if not record.state.final:
            self._books.by_state[record.state].pop(ref.task_id)
            record.state = State.RUNNING
            self._books.by_state[State.RUNNING][ref.task_id] = record
        return msgspec.structs.replace(ref, token=record.token, claim_id=record.claim_id)


class FencedByState(_Forging):
    """Settles whatever runs, whoever claimed it."""

    def forge(self, ref: ClaimRef) -> ClaimRef:
        record = self._books.records.get(ref.task_id)
        if record is None or record.state is not State.RUNNING:
            return ref
        return msgspec.structs.replace(ref, token=record.token, claim_id=record.claim_id or "")


class ClaimIdIgnored(_Forging):
    """Trusts the token alone."""

    def forge(self, ref: ClaimRef) -> ClaimRef:
        record = self._books.records.get(ref.task_id)
        if record is None or record.token != ref.token:
            return ref
        return msgspec.structs.replace(ref, claim_id=record.claim_id or "")


class TokenIgnored(_Forging):
    """Trusts the claim id alone."""

    def forge(self, ref: ClaimRef) -> ClaimRef:
        record = self._books.records.get(ref.task_id)
        if record is None or record.claim_id != ref.claim_id:
            return ref
        return msgspec.structs.replace(ref, token=record.token)


class ReclaimLeavesTheClaim(MemoryEngine):
    """A reclaimed task still answers to its old claim."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        for each in settlements:
            record = self._books.records.get(each.claim.task_id)
            if record and record.state is State.PENDING and record.token == each.claim.token:
                record.claim_id = each.claim.claim_id
        return await super().settle(settlements, tx=tx)


class TokenResetOnSnooze(MemoryEngine):
    """A snoozed task counts its claims from the beginning."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        answers = await super().settle(settlements, tx=tx)
        for each, answer in zip(settlements, answers, strict=True):
            if isinstance(each.outcome, Snoozed) and answer is not None:
                self._books.records[each.claim.task_id].token = 0
        return answers


class ReleaseBurnsAnAttempt(MemoryEngine):
    """A deploy costs every running task an attempt."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        answers = await super().settle(settlements, tx=tx)
        for each, answer in zip(settlements, answers, strict=True):
            if isinstance(each.outcome, Released) and answer is State.PENDING:
                self._books.records[each.claim.task_id].attempt += 1
        return answers


class SettlesTwice(MemoryEngine):
    """A repeated settlement is answered stale, so that its caller believes it lost the task."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # the options of the memory engine
        self._settled: set[ClaimRef] = set()

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        answers = await super().settle(settlements, tx=tx)
        repeated = [each.claim in self._settled for each in settlements]
        self._settled |= {each.claim for each in settlements}
        return [None if again else answer for again, answer in zip(repeated, answers, strict=True)]


class RepeatedClaimTakesMore(MemoryEngine):
    """A claim whose answer was lost is made a second time."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        self._books.claims.pop(request.claim_id, None)
        return await super().claim(request)


class EmptyClaimForgotten(MemoryEngine):
    """Remembers only the claims that took something."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        known = request.claim_id in self._books.claims
        claims = await super().claim(request)
        if not claims and not known:
            self._books.claims.pop(request.claim_id)
        return claims


class ShortMemoryOfClaims(MemoryEngine):
    """Remembers the last claims of all workers together."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        claims = await super().claim(request)
        for forgotten in list(self._books.claims)[:-64]:
            del self._books.claims[forgotten]
        return claims
