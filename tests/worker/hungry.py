"""An application whose tasks keep memory, for worker processes."""

import asyncio
import os

from tidemill import Context, Tidemill

app = Tidemill("memory://")
kept: list[bytes] = []

MIB = 1024 * 1024


@app.task
async def keep(mib: int) -> int:
    """The process that keeps so much more from now on."""
    kept.append(b"x" * (mib * MIB))
    await asyncio.sleep(0.2)
    return os.getpid()


@app.task(isolation="process")
def where(ctx: Context) -> int:
    """The child process that runs it."""
    ctx.progress(50, "here")
    return os.getpid()
