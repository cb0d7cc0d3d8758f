"""Waiting for what another process does: it can only be looked at again and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tidemill import EngineUnavailable

T = TypeVar("T")

LOOK_EVERY = 0.02


async def until(fact: Callable[[], bool], patience: float) -> bool:
    """Wait for a fact; whether it came true within `patience` seconds."""
    end = time.monotonic() + patience
    while not (true := fact()) and time.monotonic() < end:  # noqa: ASYNC110  # no event from there
        await asyncio.sleep(LOOK_EVERY)
    return true


async def insisted(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a store that may be away for a while: every verb is safe to repeat."""
    while True:
        try:
            return await call()
        except EngineUnavailable:
            await asyncio.sleep(LOOK_EVERY)


async def aside(call: Callable[[], T]) -> T:
    """Call what blocks without holding up the loop; it is over before this ends, cancelled or not.

    A server that is just being started must not outlive its campaign.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise
