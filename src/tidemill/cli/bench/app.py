"""The application that benchmarks run: tasks that do nothing, with every default of Tidemill."""

import time

from tidemill.app import Tidemill

app = Tidemill()


@app.task(name="bench.noop")
async def noop() -> None:
    """Do nothing."""


@app.task(name="bench.stamp")
async def stamp() -> int:
    """Answer this machine's clock in nanoseconds, as read by the first line of the body."""
    return time.time_ns()
