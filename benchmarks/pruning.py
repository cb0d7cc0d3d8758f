"""What claims notice of a sweeper that has much to prune."""

import asyncio
import random
import time
from collections.abc import Callable
from statistics import quantiles

from arena import BATCH, PATIENCE, calm, count, enqueue, fill, opened, scheduler, store
from figures import Figure
from workload import NOOP, SPENT

from tidemill import Engine, State
from tidemill.engine import ClaimRequest
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement

PAUSE = (0.001, 0.009)
"""Seconds between two claims: often enough to meet every batch that is pruned, and seldom full."""

BEFORE = 20.0
"""Seconds of claims before anything is pruned."""


async def pruning(kind: str, spent: int) -> list[Figure]:
    """Single claims, before and while another process prunes so many tasks."""
    with store(kind) as url:
        async with opened(url) as engine:
            await fill(engine, "spent", spent)
            await calm(engine)
            limit = time.monotonic() + BEFORE
            before = await _claims(engine, lambda: time.monotonic() < limit)
            with scheduler(url):
                during, took = await _while_pruned(engine)
    one, other = (quantiles(each, n=100, method="inclusive")[98] for each in (before, during))
    detail = f"n={len(during)}, one at a time"
    return [
        Figure("claim of one task, p99", one, "ms", detail=f"n={len(before)}, one at a time"),
        Figure(f"claim of one task while {spent:,} are pruned, p99", other, "ms", detail=detail),
        Figure(f"claim of one task while {spent:,} are pruned, max", max(during), "ms"),
        Figure("difference that pruning makes to the p99 of claims", other - one, "ms", 50, "<="),
        Figure(f"until {spent:,} are pruned", took, "s", detail=f"{spent / took:,.0f} tasks/s"),
    ]


async def _while_pruned(engine: Engine) -> tuple[list[float], float]:
    """Milliseconds of each claim until nothing is left to prune, and the seconds that it took."""
    began = time.monotonic()

    async def look() -> None:
        while left := await count(engine, SPENT, State.COMPLETED):
            if time.monotonic() > began + PATIENCE:
                raise SystemExit(f"{left:,} are not pruned after {PATIENCE:g} s")
            await asyncio.sleep(0.2)

    looking = asyncio.create_task(look())
    waits = await _claims(engine, lambda: not looking.done())
    await looking
    return waits, time.monotonic() - began


async def _claims(engine: Engine, going_on: Callable[[], bool]) -> list[float]:
    """Claim one task after the other, with pauses; milliseconds that each claim took."""
    rng, ids = random.Random(0), IdMaker()
    waits: list[float] = []
    while going_on():
        if len(waits) % BATCH == 0:
            await enqueue(NOOP, BATCH)
        request = ClaimRequest(
            claim_id=ids.make(),
            worker="pruning",
            queues=None,
            task_types=frozenset({NOOP}),
            limit=1,
        )
        began = time.perf_counter()
        [claim] = await engine.claim(request)
        waits.append(1_000 * (time.perf_counter() - began))
        await engine.settle([Settlement(claim.ref, Completed(b"null"))])
        await asyncio.sleep(rng.uniform(*PAUSE))
    return waits
