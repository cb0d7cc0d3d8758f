"""Waiting for what another process does: it can only be looked at again and again."""

import asyncio
import time
from collections.abc import Callable

LOOK_EVERY = 0.02


async def until(fact: Callable[[], bool], patience: float) -> bool:
    """Wait for a fact; whether it came true within `patience` seconds."""
    end = time.monotonic() + patience
    while not (true := fact()) and time.monotonic() < end:  # noqa: ASYNC110  # no event from there
        await asyncio.sleep(LOOK_EVERY)
    return true
