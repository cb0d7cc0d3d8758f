"""Queues with rates under several workers: never above the rate, and never much below."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.facts import until
from tests.chaos.limits import at_once, fullest, micros, share
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.workers import WorkerFell
from tidemill.engine import QueueDefinition
from tidemill.rates import Rate

SECOND: Final = timedelta(seconds=1)
RATES: Final = {
    "fast": Rate(500, SECOND, 50),
    "slow": Rate(20, SECOND, 2),
    "minute": Rate(3_000, timedelta(minutes=1), 300),
}
OVER: Final = 3.0
"""Seconds that it goes on after those that are judged: queues do not begin at the same moment."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `used` is the share of each rate that must be used, `lease` in seconds."""

    workers: int = 4
    seconds: float = 60.0
    used: float = 0.98
    lease: float = 10.0
    patience: float = 60.0


async def rates(
    folder: Path, seed: int, wanted: Rates, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    sizes = {"lease": wanted.lease, "heartbeat": wanted.lease / 5}
    with opened(store, folder) as url:
        async with stage(folder, "rates", url, quiet=quiet, **sizes) as on:
            return await _run(on, wanted, repeat("rates", seed, store, wanted))


async def _run(on: Stage, wanted: Rates, command: str) -> Report:
    await on.engine.configure([QueueDefinition(name, rate=rate) for name, rate in RATES.items()])
    ids = {name: await _enqueue(on, name, rate, wanted) for name, rate in RATES.items()}
    for _ in range(wanted.workers):
        on.crew.start()
    broken: list[str] = []
    try:
        await _run_on(on, wanted)
    except WorkerFell as fell:
        broken.append(str(fell))
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    starts = {name: await _starts(on, some) for name, some in ids.items()}
    broken += _judge(starts, ids, wanted)
    busy = {entry.pid for entry in on.read() if entry.phase == "begin"}
    if len(busy) < wanted.workers:
        broken.append(f"only {len(busy)} of {wanted.workers} workers ran anything")
    figures = [
        ("workers", f"{wanted.workers}, for {wanted.seconds:g} s"),
        *_figures(starts, wanted),
    ]
    return Report("rates", command, figures, broken)


async def _enqueue(on: Stage, name: str, rate: Rate, wanted: Rates) -> list[str]:
    """More than can be started."""
    span = wanted.seconds + 2 * OVER
    tasks = rate.burst + round(rate.count * span / rate.per.total_seconds())
    return await on.enqueue([on.new(0.0, queue=name) for _ in range(tasks)])


async def _run_on(on: Stage, wanted: Rates) -> None:
    """Let the workers work, from when all of them are there."""
    await until(lambda: all(map(on.crew.is_ready, on.crew.pids)), wanted.patience)
    begun = time.monotonic()
    while (gone := time.monotonic() - begun) < wanted.seconds + OVER:
        on.ticker.tell(int(gone), int(wanted.seconds + OVER), "seconds")
        on.crew.check()
        await asyncio.sleep(0.2)


async def _starts(on: Stage, ids: Sequence[str]) -> list[datetime]:
    """When each was started, by the engine's clock."""
    found = (await on.tasks(ids)).values()
    assert len(found) == len(ids), f"{len(ids)} enqueued, {len(found)} found"
    return [task.started_at for task in found if task.started_at is not None]


def _judge(
    starts: Mapping[str, Sequence[datetime]], ids: Mapping[str, Sequence[str]], wanted: Rates
) -> list[str]:
    broken = []
    for name, rate in RATES.items():
        instants = micros(starts[name])
        if len(instants) == len(ids[name]):
            broken.append(
                f"{name}: all {len(instants)} were started: it ran out, or is not limited"
            )
        if (burst := at_once(rate, instants)) > rate.burst:
            broken.append(f"{name}: its starts need a burst of {burst:.2f}, not {rate.burst}")
        if (most := fullest(rate, instants)) > rate.count + rate.burst:
            broken.append(f"{name}: {most} starts within {rate.per}")
        if (part := share(rate, instants, wanted.seconds)) < wanted.used:
            broken.append(f"{name}: only {part:.1%} of its rate was used")
    return broken


def _figures(starts: Mapping[str, Sequence[datetime]], wanted: Rates) -> list[tuple[str, str]]:
    figures = []
    for name, rate in RATES.items():
        instants = micros(starts[name])
        what = f"{rate.count:,} per {rate.per.total_seconds():g} s, burst {rate.burst}"
        part, most = share(rate, instants, wanted.seconds), fullest(rate, instants)
        burst = at_once(rate, instants)
        of = f"{len(instants):,} starts, {most:,} in the fullest stretch, {burst:.1f} at once"
        figures.append((what, f"{part:.1%} used beside the burst; {of}"))
    return figures
