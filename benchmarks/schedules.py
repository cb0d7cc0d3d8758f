"""Thousands of live schedules: what they cost a process that fires them, and how late they are."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import msgspec
import psutil
import workload
from arena import BATCH, PATIENCE, cpu, memory, opened, scheduler, store
from figures import Figure, percentiles

from tidemill import Engine
from tidemill.app.schedules import batched, revised
from tidemill.engine import FIRES_KEPT, SCHEDULE, Fire, Fired, Put
from tidemill.schedule import Every, Once, Schedule, Timing, encode, upcoming

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
PROBE = "zz-probe"
"""The schedule that is read last and is due at once: who has fired it knows all of them."""

LEAD = timedelta(seconds=15)
"""Time for several processes to start before they are needed."""


async def schedules(kind: str, many: int, seconds: float) -> list[Figure]:
    """A process with so many schedules that waits, one that fires steadily, and a burst."""
    figures = await _waiting(kind, many, seconds)
    figures += await _steady(kind, many, seconds)
    for processes in (1, 3):
        figures += await _burst(kind, many, processes)
    return figures


async def _waiting(kind: str, many: int, seconds: float) -> list[Figure]:
    """All due some time tomorrow."""
    with store(kind) as url:
        async with opened(url) as engine:
            now = await _now(engine)
            await _define(engine, [_probe(now), *_evenly(many, DAY, now + DAY)])
            began = datetime.now(UTC)
            with scheduler(url) as process:
                ready = (await _probed(engine)).recorded_at - began
                rest = memory(process)
                share = await _cpu(process, seconds)
    so_many = f"{many:,} schedules"
    return [
        Figure(f"scheduler, start with {so_many}", ready.total_seconds(), "s"),
        Figure(f"scheduler with {so_many}, memory (RSS)", rest, "MB"),
        Figure(
            f"scheduler with {so_many}, none due, CPU of one core",
            100 * share,
            "%",
            1,
            "<=",
            f"over {seconds:g} s",
        ),
    ]


async def _steady(kind: str, many: int, seconds: float) -> list[Figure]:
    """Each due once a minute, evenly."""
    with store(kind) as url:
        async with opened(url) as engine:
            now = await _now(engine)
            made = _evenly(many, MINUTE, now)
            await _define(engine, [_probe(now), *made])
            with scheduler(url) as process:
                await _probed(engine)
                begin = await _now(engine) + timedelta(seconds=2)
                await asyncio.sleep(2)
                share = await _cpu(process, seconds)
                end = begin + timedelta(seconds=seconds)
                lags = await _lags(engine, made, begin, end)
    per_second = f"{many / MINUTE.total_seconds():,.0f} due each second"
    return [
        Figure(f"scheduler, {per_second}, CPU of one core", 100 * share, "%"),
        *percentiles(f"instant to fired, {per_second}", lags, "ms", p99=1_000),
    ]


async def _burst(kind: str, many: int, processes: int) -> list[Figure]:
    """All due at one instant."""
    with store(kind) as url, ExitStack() as stack:
        async with opened(url) as engine:
            began = await _now(engine)
            at = began + LEAD
            made = [_schedule(f"burst-{n}", Once(at), began) for n in range(many)]
            await _define(engine, [_probe(began), *made])
            for _ in range(processes):
                stack.enter_context(scheduler(url))
            await _probed(engine)
            if (left := at - await _now(engine)) < LEAD / 4:
                raise SystemExit(f"only {left} are left before the burst: the lead is too short")
            lags = await _lags(engine, made, began, at + MINUTE)
    by = "one scheduler" if processes == 1 else f"{processes} schedulers"
    name = f"instant to fired, {many:,} at one instant, {by}"
    p50, _, p99, last = percentiles(name, lags, "ms", p99=3_000)
    return [p50, p99, msgspec.structs.replace(last, name=f"{name}, the last")]


def _schedule(name: str, timing: Timing, since: datetime) -> Schedule:
    task = workload.noop.call().new_task()
    return Schedule(
        name=name,
        timing=timing,
        task=msgspec.structs.replace(task, id=""),
        since=since,
        created_at=since,
        updated_at=since,
    )


def _evenly(many: int, period: timedelta, first: datetime) -> list[Schedule]:
    """Schedules of one period, due one after the other in the period that begins at `first`."""
    return [
        _schedule(f"every-{n}", Every(period), first - period + (n + 1) * period / many)
        for n in range(many)
    ]


def _probe(now: datetime) -> Schedule:
    return _schedule(PROBE, Once(now), now - MINUTE)


async def _define(engine: Engine, made: Sequence[Schedule]) -> None:
    for some in batched(made, BATCH):
        await engine.put([Put(SCHEDULE, each.name, encode(each)) for each in some])
    await engine.put([revised()])


async def _now(engine: Engine) -> datetime:
    return (await engine.marks(())).at


async def _probed(engine: Engine) -> Fire:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        [mark] = (await engine.marks([PROBE], 1)).marks
        if mark.fires:
            return mark.fires[0]
        await asyncio.sleep(0.02)
    raise SystemExit(f"no schedule was fired within {PATIENCE:g} s")


async def _cpu(process: psutil.Process, seconds: float) -> float:
    """The share of a core that a process takes for a while."""
    before = cpu(process)
    await asyncio.sleep(seconds)
    return (cpu(process) - before) / seconds


async def _lags(
    engine: Engine, made: Sequence[Schedule], begin: datetime, end: datetime
) -> list[float]:
    """Milliseconds from each instant of a range until it was fired; waits until all of them are."""
    due = {(each.name, at) for each in made for at in upcoming(each, begin, FIRES_KEPT) if at < end}
    names = sorted({name for name, _ in due})
    limit = time.monotonic() + (end - await _now(engine)).total_seconds() + PATIENCE
    while True:
        marks = [
            mark
            for some in batched(names, BATCH)
            for mark in (await engine.marks(some, FIRES_KEPT)).marks
        ]
        fired = {
            (mark.schedule, fire.at): fire.recorded_at - fire.at
            for mark in marks
            for fire in mark.fires
            if fire.outcome is Fired.FIRED
        }
        if due <= fired.keys():
            return [1_000 * fired[each].total_seconds() for each in due]
        if time.monotonic() > limit:
            raise SystemExit(f"{len(due - fired.keys())} of {len(due)} instants were not fired")
        await asyncio.sleep(1)
