"""Doing something at an engine again and again, through its outages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

from tidemill.backoff import exponential
from tidemill.errors import EngineFull, EngineUnavailable
from tidemill.events import EngineLost, EngineRecovered

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill
    from tidemill.engine import Engine

BACKOFF = exponential(0.1, cap=5, jitter=True)

Step = Callable[["Engine"], Awaitable[float]]
"""Does one thing at the engine, and answers after how many seconds to do it again."""


async def repeat(app: "Tidemill", doing: str, step: Step) -> NoReturn:
    """Repeat a step until cancelled; in an outage try again with growing pauses.

    It emits `EngineLost` for each try that fails, and `EngineRecovered` for the first that works.
    """
    failures = 0
    while True:
        try:
            pause = await step(await app.engine())
        except (EngineUnavailable, EngineFull) as problem:
            failures += 1
            wait = BACKOFF.delay(failures)
            app.bus.emit(EngineLost(doing, str(problem), wait))
            pause = wait.total_seconds()
        else:
            if failures:
                failures = 0
                app.bus.emit(EngineRecovered(doing))
        await asyncio.sleep(pause)
