"""The claimer by itself."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from tests.worker.facts import PATIENCE
from tidemill.engine import ClaimRequest
from tidemill.engines.memory import MemoryEngine
from tidemill.events import Bus
from tidemill.task import Claim
from tidemill.worker.belt import Belt
from tidemill.worker.claimer import Claimer
from tidemill.worker.slots import Slots


class StoppedWhileClaiming(MemoryEngine):
    """Something happens during each claim, which finds nothing; a wait for more never ends."""

    during: Callable[[], None]

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        self.during()
        return await super().claim(request)

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        await asyncio.Event().wait()


async def test_a_claimer_that_is_stopped_while_it_claims_nothing_does_not_wait_for_more() -> None:
    engine, belt = StoppedWhileClaiming(), Belt[object](1)
    claimer = Claimer(
        engine,
        Bus(on_error=lambda *_: None),
        ClaimRequest(claim_id="", worker="w", queues=None, task_types=frozenset({"nap"}), limit=0),
        slots=Slots(1),
        beside=Slots(1),
        settling=belt,
        allowance=lambda: 1,
        deliver=lambda _: None,
    )
    engine.during = claimer.stop
    async with asyncio.timeout(PATIENCE) as limit:
        await claimer.run()
    assert not limit.expired()
