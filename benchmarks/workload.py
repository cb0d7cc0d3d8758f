"""The task types that the benchmarks run; `tidemill worker -A workload:app` loads them.

The engine comes from `TIDEMILL_URL`, everything else stays as it is by default.
"""

import asyncio
import time

from tidemill import Context, Tidemill

NOOP = "bench.noop"
BALLAST = "bench.ballast"
STAMP = "bench.stamp"
HANG = "bench.hang"

app = Tidemill()


@app.task(name=NOOP)
async def noop() -> None:
    """Nothing: what remains is the cost of the system."""


@app.task(name=BALLAST, priority=0)
async def ballast() -> None:
    """Tasks that lie in the way."""


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
