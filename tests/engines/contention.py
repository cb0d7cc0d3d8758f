"""One of several processes that share a store: `python -m tests.engines.contention URL N TOTAL`.

Enqueues N tasks, then takes and settles tasks of all processes until TOTAL are final. Prints one
JSON line for every claim that it held: what, with which token, from when until when (monotonic
nanoseconds, comparable between the processes of a machine), and what settling answered.
"""

import asyncio
import json
import sys
import time
from datetime import timedelta

from tidemill.engine import ClaimRequest, Engine
from tidemill.engines import open_engine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Outcome, Retried, Settlement
from tidemill.task import Claim, TaskError
from tidemill.testing import new_task

BATCH = 10
BROKE = TaskError("builtins.ValueError", "the first attempt of every third task")


def outcome_of(claim: Claim) -> Outcome:
    """Every third task is retried once, so that tasks wander between the processes."""
    again = claim.attempt == 1 and int(claim.payload) % 3 == 0
    return Retried(BROKE) if again else Completed(claim.payload)


async def work(engine: Engine, own: int, total: int) -> None:
    """Enqueue, then claim and settle until everybody's tasks are final."""
    ids = IdMaker()
    for start in range(0, own, BATCH):
        count = min(BATCH, own - start)
        await engine.enqueue(
            [
                new_task(task_id, payload=str(start + n).encode())
                for n, task_id in enumerate(ids.make_many(count))
            ]
        )
    while not await final(engine, total):
        request = ClaimRequest(
            claim_id=ids.make(),
            worker=str(own),
            queues=None,
            task_types=frozenset({"work"}),
            limit=BATCH,
        )
        claims = await engine.claim(request)
        since = time.monotonic_ns()
        if not claims:
            await engine.wait(None, timedelta(milliseconds=50))
            continue
        await asyncio.sleep(0)
        until = time.monotonic_ns()
        states = await engine.settle([Settlement(each.ref, outcome_of(each)) for each in claims])
        for claim, state in zip(claims, states, strict=True):
            ref = claim.ref
            print(json.dumps([ref.task_id, ref.token, claim.attempt, since, until, state]))


async def final(engine: Engine, total: int) -> bool:
    """Whether all tasks of all processes have ended."""
    counts = (await engine.stats()).counts
    return sum(each.count for each in counts if each.state.final) == total


async def main(url: str, own: int, total: int) -> None:
    """Work on the engine of this URL."""
    engine = open_engine(url)
    await engine.migrate()
    await work(engine, own, total)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
