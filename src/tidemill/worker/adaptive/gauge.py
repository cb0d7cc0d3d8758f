"""Measures the process: how late its loop is, and what it takes of the machine."""

import asyncio
from statistics import quantiles

import psutil

from tidemill.worker.adaptive.measures import Health

EVERY = 0.02
"""Seconds between two measures of the loop's lag."""

MIB = 1024 * 1024


class Gauge:
    """Looks at the process that it is made in; `memory_mib` is its limit, if it has one."""

    def __init__(self, memory_mib: int | None) -> None:
        self._memory_mib = memory_mib
        self._process = psutil.Process()
        self._lags: list[float] = []
        self._own = self._own_seconds()
        self._machine = _machine_seconds()
        self._at = asyncio.get_running_loop().time()

    async def watch(self, seconds: float) -> Health:
        """How the process is over so many seconds from now."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while (before := clock()) < end:
            await asyncio.sleep(EVERY)
            self._lags.append(max(0.0, clock() - before - EVERY))
        return self._taken(clock())

    def _taken(self, now: float) -> Health:
        lags, self._lags = self._lags, []
        passed, self._at = now - self._at, now
        before, self._own = self._own, self._own_seconds()
        (busy_before, all_before), self._machine = self._machine, _machine_seconds()
        busy, every = self._machine[0] - busy_before, self._machine[1] - all_before
        return Health(
            lag=quantiles(lags, n=10, method="inclusive")[8] if len(lags) > 1 else max(lags),
            own=(self._own - before) / passed,
            machine=busy / every if every else 0.0,
            memory=self._memory(),
        )

    def _own_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _memory(self) -> float:
        if self._memory_mib is None:
            return psutil.virtual_memory().percent / 100
        return float(self._process.memory_info().rss / (self._memory_mib * MIB))


def _machine_seconds() -> tuple[float, float]:
    """The busy and all processor seconds of the machine since it started."""
    times = psutil.cpu_times()
    every = sum(times[:8])  # what guests take is in `user` already
    return every - times.idle - getattr(times, "iowait", 0.0), every
