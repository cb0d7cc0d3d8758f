"""Statistics over a million tasks that ended within 30 days, the last of them a moment ago."""

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from statistics import median
from typing import Final

import workload
from arena import BATCH, opened, store
from figures import Figure
from throughput import drain

from tidemill import Engine
from tidemill.app.schedules import batched
from tidemill.app.statistics import now as now_of
from tidemill.clock import from_micros, micros, to_micros
from tidemill.engine import Resolution, Tally
from tidemill.histogram import slot

DAYS: Final = timedelta(days=30)
RANGES: Final = {
    "1 h": timedelta(hours=1),
    "24 h": timedelta(hours=24),
    "7 d": timedelta(days=7),
    "30 d": DAYS,
}
PAIRS: Final = [(f"queue-{n}", f"bench.kind-{kind}") for n, kind in product(range(4), range(5))]
"""In which queues tasks of which types ended."""

OUTCOMES: Final = ("completed",) * 97 + ("failed",) * 2 + ("cancelled",)
RAN, WAITED = 50_000, 2_000
"""Microseconds of the median task."""


async def history(kind: str, recorded: int, drained: int, samples: int) -> list[Figure]:
    """Each question over each range, on a store that records so many tasks."""
    with store(kind) as url:
        async with opened(url) as engine:
            for some in batched(list(_tallies(recorded, await now_of(engine))), BATCH):
                await engine.restore([], tallies=some)
        await drain(url, drained)
        async with opened(url) as engine:
            return await _measured(engine, recorded + drained, samples)


async def _measured(engine: Engine, tasks: int, samples: int) -> list[Figure]:
    now = await now_of(engine)
    found = await workload.app.statistics(now - DAYS, now)
    if found.total != tasks:
        raise SystemExit(f"the statistics count {found.total:,} tasks, not {tasks:,}")
    figures: list[Figure] = []
    for name, length in RANGES.items():
        now = await now_of(engine)
        ask = partial(workload.app.statistics, now - length, now)
        figures += await _timed(f"statistics, {name}, {tasks:,} tasks", ask, samples)
        draw = partial(workload.app.statistics_over_time, now - length, now)
        points = len(await draw())
        label = f"statistics over time, {name} in {points:,} points, {tasks:,} tasks"
        figures += await _timed(label, draw, samples)
    return figures


async def _timed(name: str, ask: Callable[[], Awaitable[object]], samples: int) -> Iterator[Figure]:
    waits = []
    for _ in range(samples):
        began = time.perf_counter()
        await ask()
        waits.append(1_000 * (time.perf_counter() - began))
    found = {"median": median(waits), "max": max(waits)}
    return (
        Figure(f"{name}, {which}", value, "ms", 100, "<=", f"n={samples}")
        for which, value in found.items()
    )


class _Cell:
    """What ended in one stretch of time, of one task type in one queue."""

    __slots__ = ("counts", "ran", "runs", "waited", "waits")

    def __init__(self) -> None:
        self.counts = {"completed": 0, "failed": 0, "cancelled": 0}
        self.ran = self.waited = 0
        self.runs: dict[int, int] = {}
        self.waits: dict[int, int] = {}

    def add(self, outcome: str, ran: int, waited: int) -> None:
        """Count one task."""
        self.counts[outcome] += 1
        self.ran += ran
        self.waited += waited
        of_run, of_wait = slot(ran), slot(waited)
        self.runs[of_run] = self.runs.get(of_run, 0) + 1
        self.waits[of_wait] = self.waits.get(of_wait, 0) + 1


def _tallies(tasks: int, now: datetime) -> Iterator[Tally]:
    """So many tasks at random moments of the days before now, as an engine would have them."""
    rng = random.Random(0)
    lengths = {each: micros(each.length) for each in Resolution}
    minute, hour = lengths[Resolution.MINUTE], lengths[Resolution.HOUR]
    end = to_micros(now) // minute
    # Ranges that end now are cut at the hour, which may turn meanwhile.
    begin = (to_micros(now - DAYS) // hour + 2) * hour // minute
    kept = {each: 0 if each.kept is None else to_micros(now - each.kept) for each in Resolution}
    cells: dict[tuple[Resolution, int, tuple[str, str]], _Cell] = {}
    for _ in range(tasks):
        at, pair, outcome = (
            rng.randrange(begin, end) * minute,
            rng.choice(PAIRS),
            rng.choice(OUTCOMES),
        )
        ran, waited = (int(rng.lognormvariate(0, 1) * typical) for typical in (RAN, WAITED))
        for resolution, length in lengths.items():
            if at >= kept[resolution]:
                place = (resolution, at - at % length, pair)
                cells.setdefault(place, _Cell()).add(outcome, ran, waited)
    for (resolution, start, (queue, task_type)), cell in cells.items():
        yield Tally(
            resolution=resolution,
            at=from_micros(start),
            queue=queue,
            task_type=task_type,
            ran=cell.ran,
            waited=cell.waited,
            runs=cell.runs,
            waits=cell.waits,
            **cell.counts,
        )
