"""The bare loop: claim 200, run each as an asyncio task with a timeout, settle 200, again.

No retries, middleware, events, heartbeat or metrics: the limit that a worker on the same engine
can come close to. `python bare.py URL` runs the no-op tasks of a store until there are no more.
"""

import asyncio
import os
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


async def loop(url: str) -> None:
    """Run no-op tasks until there are no more."""
    engine = open_engine(url).session()
    await engine.migrate()
    ids = IdMaker()
    try:
        while claims := await engine.claim(_request(ids.make())):
            running = [asyncio.create_task(_run(claim)) for claim in claims]
            await engine.settle([await each for each in running])
    finally:
        await engine.close()


def _request(claim_id: str) -> ClaimRequest:
    return ClaimRequest(
        claim_id=claim_id,
        worker=f"bare-{os.getpid()}",
        queues=None,
        task_types=frozenset({NOOP}),
        limit=BATCH,
        lease=timedelta(seconds=30),
    )


async def _run(claim: Claim) -> Settlement:
    async with asyncio.timeout(60):
        await noop.function()
    return Settlement(claim.ref, Completed(b"null"))


if __name__ == "__main__":
    uvloop.run(loop(sys.argv[1]))
