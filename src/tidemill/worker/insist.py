"""Repeating a call to an engine that is not available, until it is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tidemill.backoff import exponential
from tidemill.errors import EngineFull, EngineUnavailable
from tidemill.events import Bus, EngineLost, EngineRecovered

T = TypeVar("T")

BACKOFF = exponential(0.1, cap=5, jitter=True)
"""Between repeated calls: a worker is back at work within seconds of its engine."""


async def insist(doing: str, call: Callable[[], Awaitable[T]], bus: Bus) -> T:
    """Call until it answers; every verb of an engine is safe to repeat.

    `doing` names the call in the events that tell of the outage.
    """
    failures = 0
    while True:
        try:
            answer = await call()
        except (EngineUnavailable, EngineFull) as problem:
            failures += 1
            pause = BACKOFF.delay(failures)
            bus.emit(EngineLost(doing, str(problem), pause))
            await asyncio.sleep(pause.total_seconds())
        else:
            if failures:
                bus.emit(EngineRecovered(doing))
            return answer
