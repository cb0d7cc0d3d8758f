"""The task types that the benchmarks run; `tidemill worker -A workload:app` loads them.

The engine comes from `TIDEMILL_URL`, everything else stays as it is by default.
"""

import asyncio
import random
import time
from datetime import timedelta

from peers.tally import mark

from tidemill import AtMost, Context, Tidemill

NOOP = "bench.noop"
BALLAST = "bench.ballast"
SPENT = "bench.spent"
STAMP = "bench.stamp"
HANG = "bench.hang"
TALLIED = "bench.tallied"
PARCEL = "bench.parcel"
LABELLED = "bench.labelled"
KEYED = "bench.keyed"
GATHER = "bench.gather"

app = Tidemill()


@app.task(name=NOOP)
async def noop() -> None:
    """Nothing: what remains is the cost of the system."""


@app.task(name=BALLAST, priority=0)
async def ballast() -> None:
    """Tasks that lie in the way; a worker that takes one nevertheless is busy for a while."""
    await asyncio.sleep(random.uniform(0, 0.1))


@app.task(name=SPENT, retention=timedelta(0))
async def spent() -> None:
    """Tasks that are not kept once they are final."""


@app.task(name=STAMP)
async def stamp() -> int:
    """When it started, in nanoseconds of the clock that all processes share."""
    return time.monotonic_ns()


@app.task(name=HANG)
async def hang(ctx: Context) -> int:
    """Never ends in its first attempt; the second tells when it started."""
    if ctx.attempt == 1:
        await asyncio.sleep(3_600)
    return time.monotonic_ns()


@app.task(name=TALLIED)
async def tallied(number: int) -> None:
    """What the peers' tasks do."""
    mark(number)


@app.task(name=PARCEL)
async def parcel(user_id: int, address: str) -> dict[str, int]:
    """Nothing, with a small payload and a small result."""
    return {"user_id": user_id if address else 0}


@app.task(name=LABELLED)
async def labelled(key: int) -> None:
    """Nothing, with the argument that `keyed` makes its key of."""


@app.task(name=KEYED, limit=AtMost(10, per="{key}"))
async def keyed(key: int) -> None:
    """Nothing, at most ten at once of each key."""


@app.task(name=GATHER)
async def gather(results: list[None]) -> int:
    """What comes after many tasks, and takes their results."""
    return len(results)
