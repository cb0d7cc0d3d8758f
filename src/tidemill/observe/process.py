"""What one process tells of itself: CPU, memory, and how late its event loop is."""

import asyncio
import time
from collections.abc import Iterable
from typing import Final

import psutil

from tidemill.app import Tidemill
from tidemill.metrics import Family, Sample

EVERY: Final = 0.5
"""Seconds between looks at the loop."""

LAGS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


def process_families() -> Iterable[Family]:
    """CPU, memory, threads and start of this process, under the names that Prometheus uses."""
    process = psutil.Process()
    with process.oneshot():
        cpu, memory = process.cpu_times(), process.memory_info()
        started, threads = process.create_time(), process.num_threads()
    yield _of("process_cpu_seconds_total", "counter", "CPU time used.", cpu.user + cpu.system)
    yield _of("process_resident_memory_bytes", "gauge", "Memory in use.", memory.rss)
    yield _of("process_threads", "gauge", "Threads of the process.", threads)
    yield Family(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in seconds since 1970; the first of several.",
        (),
        (Sample((), started),),
        joined="min",
    )


def _of(name: str, kind: str, help: str, value: float) -> Family:
    counts = kind == "counter"
    return Family(name, "counter" if counts else "gauge", help, (), (Sample((), value),))


async def watch_loop(app: Tidemill) -> None:
    """Measure, until cancelled, how late the running event loop wakes who sleeps."""
    lag = app.metrics.histogram(
        "tidemill_loop_lag_seconds", "How late the event loop was, twice a second.", bounds=LAGS
    )
    while True:
        due = time.perf_counter() + EVERY
        await asyncio.sleep(EVERY)
        lag.record(max(0.0, time.perf_counter() - due))
