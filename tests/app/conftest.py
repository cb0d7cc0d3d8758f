"""An application on the memory engine, and a worker's part played by hand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tidemill import Tidemill, VirtualClock
from tidemill.engine import ClaimRequest, Engine, Extension, Hold
from tidemill.engines.memory import MemoryEngine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Outcome, Settlement
from tidemill.task import Claim, NewTask, Progress, State

LEASE = timedelta(seconds=30)


@dataclass(frozen=True)
class Hand:
    """Claims, reports and settles as a worker would."""

    app: Tidemill
    clock: VirtualClock
    ids: IdMaker

    async def claim(self, limit: int = 1) -> list[Claim]:
        engine = await self.app.engine()
        request = ClaimRequest(
            claim_id=self.ids.make(),
            worker="hand",
            queues=None,
            task_types=frozenset(self.app.task_types),
            limit=limit,
        )
        return await engine.claim(request)

    async def take(self) -> Claim:
        [claim] = await self.claim()
        return claim

    async def report(self, claim: Claim, progress: Progress) -> Hold:
        engine = await self.app.engine()
        [hold] = await engine.extend([Extension(claim.ref, progress)], LEASE)
        return hold

    async def settle(self, claim: Claim, outcome: Outcome) -> State | None:
        engine = await self.app.engine()
        [state] = await engine.settle([Settlement(claim.ref, outcome)])
        return state

    async def complete(self, claim: Claim, value: Any) -> None:
        signature = self.app.task_types[claim.task_type].signature
        assert await self.settle(claim, Completed(signature.encode_result(value)))

    async def let_others_run(self) -> None:
        await asyncio.sleep(0)

    async def pass_time(self, by: timedelta) -> None:
        self.clock.advance(by)
        engine: Engine = await self.app.engine()
        await engine.promote(1000)


class Recorder(MemoryEngine):
    """The memory engine, which keeps the batches that it was given."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.batches: list[list[NewTask]] = []

    async def enqueue(self, tasks: Any, *, tx: object | None = None) -> Any:
        self.batches.append(list(tasks))
        return await super().enqueue(tasks, tx=tx)


@pytest.fixture(autouse=True)
def _no_url_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def engine(clock: VirtualClock) -> Recorder:
    return Recorder(clock)


@pytest.fixture
def make_app(engine: Recorder, clock: VirtualClock) -> Callable[..., Tidemill]:
    """Makes applications on one engine."""

    def make(**said: Any) -> Tidemill:
        app = Tidemill("memory://", **said)
        app.use_engine(engine, clock=clock)
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., Tidemill]) -> Tidemill:
    return make_app()


@pytest.fixture
def hand(app: Tidemill, clock: VirtualClock) -> Hand:
    return Hand(app, clock, IdMaker())
