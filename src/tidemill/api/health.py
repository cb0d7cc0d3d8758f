"""Whether this process lives, and whether it can do its work: for what watches over it."""

import asyncio
from typing import Final

from litestar.handlers import HTTPRouteHandler

from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.errors import EngineUnavailable
from tidemill.interface.health import Alive, Ready

TAG: Final = "health"
PATIENCE: Final = 5
"""Seconds that the engine has to answer."""


@route("GET", "/healthz", prefix="", tag=TAG, scope=None, tenants=True, answers={200: Alive})
async def get_health(_: Call[Nothing, Nothing]) -> Answer:
    """Tell that the process answers, without asking the engine."""
    return Answer(Alive())


@route(
    "GET",
    "/readyz",
    prefix="",
    tag=TAG,
    scope=None,
    tenants=True,
    answers={200: Ready},
    problems=(503,),
)
async def get_readiness(call: Call[Nothing, Nothing]) -> Answer:
    """Tell that the engine answers; 503 while it does not."""
    try:
        async with asyncio.timeout(PATIENCE):
            engine = await call.app.engine()
            await engine.marks(())
    except TimeoutError:
        raise EngineUnavailable(f"the engine did not answer within {PATIENCE} s") from None
    return Answer(Ready(engine=engine.info.name, durability=engine.info.durability))


HANDLERS: list[HTTPRouteHandler] = [get_health, get_readiness]
