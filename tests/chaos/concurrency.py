"""A queue with limits for the fleet and for each worker, under kills: never above, and full."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.history import ends, late, lives, overlaps, recoveries, robbed, undone
from tests.chaos.kills import RECOVERY, attack, moments_of, strike_busy
from tests.chaos.limits import RUNS, most_at_once, used
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tidemill import Task, Transition
from tidemill.engine import QueueDefinition

QUEUE: Final = "few"


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `used` is the share of the limit that must be used, `lease` in seconds."""

    tasks: int = 2_500
    kills: int = 12
    workers: int = 4
    at_once: int = 7
    in_one_worker: int = 3
    used: float = 0.9
    lease: float = 2.5
    patience: float = 300.0


async def concurrency(
    folder: Path,
    seed: int,
    wanted: Concurrency,
    *,
    store: StoreName = "sqlite",
    quiet: bool = False,
) -> Report:
    """Run the campaign and judge it."""
    sizes = {"lease": wanted.lease, "heartbeat": wanted.lease / 5}
    with opened(store, folder) as url:
        async with stage(folder, "concurrency", url, quiet=quiet, **sizes) as on:
            command = repeat("concurrency", seed, store, wanted)
            return await _run(on, random.Random(seed), wanted, command)


async def _run(on: Stage, rng: random.Random, wanted: Concurrency, command: str) -> Report:
    limits = QueueDefinition(
        QUEUE, concurrency=wanted.at_once, worker_concurrency=wanted.in_one_worker
    )
    await on.engine.configure([limits])
    naps = [on.new(rng.uniform(0.02, 0.2), queue=QUEUE) for _ in range(wanted.tasks)]
    await on.enqueue(naps)
    for _ in range(wanted.workers):
        on.crew.start()
    broken = await attack(
        on, rng, moments_of(rng, wanted.kills, wanted.tasks), wanted.patience, strike_busy
    )
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    history = await on.history()
    tasks = await on.tasks(on.accepted, details=True)
    fleet = most_at_once(on.feed, lambda entry: entry.queue, RUNS)[QUEUE]
    workers = most_at_once(on.feed, lambda entry: _worker(tasks, entry), RUNS)
    part = used(on.feed, QUEUE, wanted.at_once)
    came_back = recoveries(history)
    broken += ends(history) + lives(history) + overlaps(history) + robbed(history)
    broken += undone(history) + late(came_back, wanted.lease + RECOVERY)
    if fleet > wanted.at_once:
        broken.append(f"{fleet} ran at once, not {wanted.at_once}")
    broken += [
        f"{most} ran at once in {worker}, not {wanted.in_one_worker}"
        for worker, most in workers.items()
        if most > wanted.in_one_worker
    ]
    if part < wanted.used:
        broken.append(f"only {part:.1%} of the limit was used")
    if wanted.kills and not came_back:
        broken.append("nothing was reclaimed: the kills tested nothing")
    if on.cut:
        broken.append("the feed was cut before it was read: the history has holes")
    if broken:
        on.keep(history)
    figures = [
        ("tasks", f"{wanted.tasks} of 20-200 ms"),
        ("workers", f"{wanted.workers} at a time, {len(workers)} in all"),
        ("kill -9", f"{len(on.crew.kills)}, {len(came_back)} tasks came back"),
        ("most at once", f"{fleet} of {wanted.at_once}"),
        ("most in one worker", f"{max(workers.values())} of {wanted.in_one_worker}"),
        ("used of the limit", f"{part:.1%}"),
    ]
    return Report("concurrency", command, figures, broken)


def _worker(tasks: Mapping[str, Task], entry: Transition) -> str:
    """Who took the attempt that begins with this entry of the feed."""
    attempts = tasks[entry.task_id].attempts
    return next(each.worker for each in attempts if each.number == entry.attempt)
