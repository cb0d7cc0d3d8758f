"""Schedulers are killed while 10,000 schedules fire: each instant once, none missed, none late."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Final

import msgspec

from tests.chaos.app import NAP
from tests.chaos.instants import Kept, contradictions, instants, lags, of_tasks
from tests.chaos.report import Report, repeat, spread
from tests.chaos.stage import BATCH, Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.workers import WorkerFell
from tidemill.app.schedules import batched, revised
from tidemill.engine import FIRES_KEPT, SCHEDULE, Fired, Mark, Put
from tidemill.schedule import Cron, Every, Misfire, Once, Overlap, Schedule, Timing, encode
from tidemill.task import NewTask

PERIODS: Final = (15.0, 90.0)
"""Seconds between two instants of a schedule that fires at intervals."""
ZONES: Final = ("UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/New_York")
QUEUES: Final = tuple(f"unserved-{number}" for number in range(4))
SHORT_GRACE: Final = timedelta(seconds=0.2)
"""Shorter than some instants are late, so that a policy has something to decide."""
LOOK_EVERY: Final = 0.25
HOUR: Final = timedelta(hours=1)
BURST: Final = "burst"


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it, in seconds. Of lags, the p99 is judged; `patience` is for the last fires."""

    spread: int = 10_000
    burst: int = 10_000
    schedulers: int = 3
    seconds: float = 120.0
    kill_every: float = 5.0
    lag: float = 1.0
    lag_of_burst: float = 3.0
    patience: float = 30.0

    @property
    def kills(self) -> int:
        """How many there are."""
        return int(self.seconds / self.kill_every)

    @property
    def lead(self) -> timedelta:
        """Time to write the definitions and to start the schedulers."""
        return timedelta(seconds=6 + (self.spread + self.burst) / 1_500)


async def schedules(
    folder: Path, seed: int, wanted: Schedules, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    with opened(store, folder) as url:
        async with stage(folder, "schedules", url, quiet=quiet) as on:
            command = repeat("schedules", seed, store, wanted)
            return await _run(on, random.Random(seed), wanted, command)


async def _run(on: Stage, rng: random.Random, wanted: Schedules, command: str) -> Report:
    # A second begins: cron's instants do, and whatever falls together with them is to do so.
    begin = (await _now(on) + wanted.lead).replace(microsecond=0)
    made = defined(rng, wanted, on.app.function(NAP).call(seconds=0.0).new_task(), begin)
    due = {each.name: instants(each) for each in made}
    await _put(on, made)
    on.crew.command = "scheduler"
    for _ in range(wanted.schedulers):
        on.crew.start()
    broken = []
    try:
        await _kill(on, rng, wanted, begin)
        await _all_decided(on, due, begin + timedelta(seconds=wanted.seconds + wanted.patience))
        on.crew.check()
    except WorkerFell as fell:
        broken.append(str(fell))
    broken += [f"scheduler {pid} did not stop when asked to" for pid in await on.crew.close()]
    marks = await _marks(on, list(due))
    found = [
        Kept(schedule, due[schedule.name], mark) for schedule, mark in zip(made, marks, strict=True)
    ]
    return await _judge(on, command, wanted, found, broken)


def defined(
    rng: random.Random, wanted: Schedules, task: NewTask, begin: datetime
) -> list[Schedule]:
    """Schedules of every kind from `begin` on, and those that are all due at one instant.

    That is so little before a kill that a scheduler ends in the middle of it.
    """
    end = begin + timedelta(seconds=wanted.seconds)
    kill = round(wanted.kills * rng.uniform(0.3, 0.7)) * wanted.kill_every
    peak = begin + timedelta(seconds=kill - rng.uniform(0, 0.3))
    base = Schedule(
        name=BURST,
        timing=Once(peak),
        task=msgspec.structs.replace(task, id=""),
        since=peak - HOUR,
        created_at=begin,
        updated_at=begin,
        starts_at=begin,
        ends_at=end,
    )
    made = [_spread(rng, base, begin, wanted.seconds) for _ in range(wanted.spread)]
    made += [
        msgspec.structs.replace(base, timing=Once(peak) if number % 2 else Every(HOUR))
        for number in range(wanted.burst)
    ]
    return [
        msgspec.structs.replace(
            each,
            name=f"{each.name}-{number}",
            task=msgspec.structs.replace(each.task, queue=rng.choice(QUEUES)),
        )
        for number, each in enumerate(made)
    ]


def _spread(rng: random.Random, base: Schedule, begin: datetime, seconds: float) -> Schedule:
    timing = _timing(rng, begin, seconds)
    period = timing.period if isinstance(timing, Every) else HOUR
    return msgspec.structs.replace(
        base,
        name="spread",
        timing=timing,
        since=begin - rng.random() * period,
        misfire=rng.choice(list(Misfire)),
        grace=SHORT_GRACE if rng.random() < 0.1 else base.grace,
        overlap=rng.choices(list(Overlap), (90, 5, 5))[0],
    )


def _timing(rng: random.Random, begin: datetime, seconds: float) -> Timing:
    kind = rng.random()
    if kind < 0.8:
        period = timedelta(seconds=rng.uniform(*PERIODS))
        return Every(period, rng.choice([0, 0, 0.5]) * period)
    if kind < 0.85:
        return Once(begin + timedelta(seconds=rng.uniform(0, seconds)))
    minute = rng.randrange(60)
    expressions = ["* * * * *", "*/2 * * * *", "*/5 * * * *", f"{minute} * * * *"]
    return Cron(rng.choices(expressions, (4, 2, 1, 3))[0], rng.choice(ZONES))


async def _now(on: Stage) -> datetime:
    return (await on.engine.marks(())).at


async def _put(on: Stage, made: Sequence[Schedule]) -> None:
    for some in batched(made, BATCH):
        await on.engine.put([Put(SCHEDULE, each.name, encode(each)) for each in some])
    await on.engine.put([revised()])


async def _kill(on: Stage, rng: random.Random, wanted: Schedules, begin: datetime) -> None:
    """Kill a scheduler at every interval and start another, until no instant is left."""
    for number in range(1, wanted.kills + 1):
        moment = begin + timedelta(seconds=number * wanted.kill_every)
        while (now := await _now(on)) < moment:
            on.ticker.tell(
                int(max(0.0, (now - begin).total_seconds())),
                int(wanted.seconds),
                f"seconds, {len(on.crew.kills)} kills",
            )
            await asyncio.sleep(min(LOOK_EVERY, (moment - now).total_seconds()))
            on.crew.check()
        on.crew.kill(rng.choice(on.crew.pids))
        on.crew.start()


async def _all_decided(on: Stage, due: Mapping[str, Sequence[datetime]], until: datetime) -> None:
    """Wait until the last instant of every schedule is decided; the judge names those left."""
    left = [name for name, some in due.items() if some]
    while left and await _now(on) < until:
        marks = await _marks(on, left, 0)
        left = [
            mark.schedule for mark in marks if mark.at is None or mark.at < due[mark.schedule][-1]
        ]
        await asyncio.sleep(LOOK_EVERY)


async def _marks(on: Stage, names: Sequence[str], fires: int = FIRES_KEPT) -> list[Mark]:
    return [
        mark
        for some in batched(names, BATCH)
        for mark in (await on.engine.marks(some, fires)).marks
    ]


async def _judge(
    on: Stage, command: str, wanted: Schedules, found: Sequence[Kept], broken: list[str]
) -> Report:
    await on.caught_up()
    fired = [task_id for each in found for task_id in each.fired]
    ledger = on.read()
    present = await on.tasks(fired)
    broken += [text for each in found for text in contradictions(each)]
    broken += of_tasks(fired, present, on.feed, ledger)
    if (total := (await on.counts()).total()) != len(fired):
        broken.append(f"{len(fired)} fired, and there are {total} tasks")
    if on.cut:
        broken.append("the feed was cut before it was read: the history has holes")
    burst = [lag for each in found if _in_burst(each) for lag in lags(each)]
    others = [lag for each in found if not _in_burst(each) for lag in lags(each)]
    broken += _late("the burst", burst, wanted.lag_of_burst)
    broken += _late("the others", others, wanted.lag)
    outcomes = {outcome: _count(found, outcome) for outcome in Fired}
    by = {entry.pid for entry in ledger if entry.phase == "fired"}
    figures = [
        ("schedules", f"{wanted.spread:,} spread, {wanted.burst:,} due at one instant"),
        ("schedulers", f"{wanted.schedulers} at a time, {len(by)} of which fired something"),
        ("kill -9", f"{len(on.crew.kills)}, every {wanted.kill_every:g} s"),
        ("instants", f"{sum(len(each.due) for each in found):,} in {wanted.seconds:g} s"),
        ("fired", f"{outcomes[Fired.FIRED]:,}, once each" if not broken else str(outcomes)),
        ("skipped, the task before had not ended", f"{outcomes[Fired.SKIPPED]:,}"),
        ("missed, as their policy says", f"{outcomes[Fired.MISSED]:,}"),
        ("lag of the spread ones", spread(others)),
        ("lag of the burst", spread(burst)),
    ]
    return Report("schedules", command, figures, broken)


def _in_burst(each: Kept) -> bool:
    return each.schedule.name.startswith(BURST)


def _count(found: Sequence[Kept], outcome: Fired) -> int:
    return sum(
        max(1, fire.missed) for each in found for fire in each.fires if fire.outcome is outcome
    )


def _late(what: str, seconds: Sequence[float], limit: float) -> list[str]:
    if len(seconds) < 2:
        return [f"{what}: {len(seconds)} instants: nothing was tested"]
    p99 = quantiles(seconds, n=100, method="inclusive")[98]
    return [f"{what}: p99 of the lag is {p99:.2f} s, not {limit:g} s"] if p99 > limit else []
