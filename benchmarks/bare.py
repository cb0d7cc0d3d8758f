"""The bare loop: claim 200, run each as an asyncio task with a timeout, settle 200, again.

No retries, middleware, events, heartbeat or metrics: the limit that a worker on the same engine
can come close to. Run as `python bare.py URL TASKS`.
"""

import asyncio
import sys
from datetime import timedelta

import uvloop
from workload import NOOP, noop

from tidemill.engine import ClaimRequest
from tidemill.engines import open_engine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement
from tidemill.task import Claim

BATCH = 200


async def loop(url: str, tasks: int) -> None:
    """Run so many no-op tasks."""
    engine = open_engine(url).session()
    await engine.migrate()
    ids, done = IdMaker(), 0
    try:
        while done < tasks:
            claims = await engine.claim(
                ClaimRequest(
                    claim_id=ids.make(),
                    worker="bare",
                    queues=None,
                    task_types=frozenset({NOOP}),
                    limit=BATCH,
                    lease=timedelta(seconds=30),
                )
            )
            running = [asyncio.create_task(_run(claim)) for claim in claims]
            await engine.settle([await each for each in running])
            done += len(claims)
    finally:
        await engine.close()


async def _run(claim: Claim) -> Settlement:
    async with asyncio.timeout(60):
        await noop.function()
    return Settlement(claim.ref, Completed(b"null"))


if __name__ == "__main__":
    uvloop.run(loop(sys.argv[1], int(sys.argv[2])))
