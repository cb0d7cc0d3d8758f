"""`kill -9` at random moments while thousands of tasks run: nothing is lost, nothing ends twice."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import msgspec

from tests.chaos.facts import until
from tests.chaos.history import ends, late, late_begins, lives, overlaps, recoveries, robbed, undone
from tests.chaos.report import Report, repeat, spread
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.workers import WorkerFell
from tidemill import State

RECOVERY = 5.0
"""Seconds beyond the lease that a lost task may take to be reclaimed and to begin again."""
DURING_START = 0.1
"""Share of kills that do not wait for their worker to be ready."""


class Kills(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `lease` is in seconds; `patience` bounds the whole campaign."""

    tasks: int = 5_000
    kills: int = 50
    workers: int = 1
    concurrency: int = 24
    children: int = 2
    lease: float = 2.5
    reclaimed: int = 300
    patience: float = 420.0


async def kills(
    folder: Path, seed: int, wanted: Kills, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    rng = random.Random(seed)
    sizes = {
        "concurrency": wanted.concurrency,
        "children": wanted.children,
        "lease": wanted.lease,
        "heartbeat": wanted.lease / 5,
    }
    with opened(store, folder) as url:
        async with stage(folder, "kills", url, quiet=quiet, **sizes) as on:
            return await _run(on, rng, wanted, repeat("kills", seed, store, wanted))


async def _run(on: Stage, rng: random.Random, wanted: Kills, command: str) -> Report:
    await on.naps([rng.uniform(0.02, 0.2) for _ in range(wanted.tasks)])
    for _ in range(wanted.workers):
        on.crew.start()
    moments = sorted(rng.sample(range(wanted.tasks * 9 // 10), wanted.kills))
    fell: list[str] = []
    try:
        async with asyncio.timeout(wanted.patience):
            for number, moment in enumerate(moments, 1):
                await strike(on, rng, moment, f"{number} of {wanted.kills} kills")
            drained = await on.drained(wanted.patience, wanted.tasks, "drain")
            on.crew.check()
    except (TimeoutError, WorkerFell) as error:
        drained, fell = False, [str(error)] if str(error) else []
    counts = await on.counts()
    orphans = await on.crew.orphans()
    stubborn = await on.crew.close()
    return await _judge(on, command, wanted, counts, drained, fell, orphans, stubborn)


async def strike(on: Stage, rng: random.Random, moment: int, text: str) -> None:
    """Kill a worker a random while after so many tasks are completed, and start another."""
    victim = rng.choice(on.crew.pids)
    early, pause = rng.random() < DURING_START, rng.uniform(0, 0.3)

    def reached() -> bool:
        on.ticker.tell(on.causes["completed"], len(on.accepted), text)
        return on.causes["completed"] >= moment

    while not await until(reached, 1.0):
        on.crew.check()
    if not early:
        await until(lambda: on.crew.is_ready(victim), 20)
    await asyncio.sleep(pause)
    on.crew.check()
    on.crew.kill(victim)
    on.crew.start()


async def _judge(
    on: Stage,
    command: str,
    wanted: Kills,
    counts: Counter[State],
    drained: bool,
    fell: list[str],
    orphans: list[int],
    stubborn: list[int],
) -> Report:
    history = await on.history()
    came_back = recoveries(history)
    reclaimed = [each.reclaimed for each in came_back]
    begun = [each.begun for each in came_back if each.begun is not None]
    calm = [each.begun for each in came_back if each.begun is not None and not each.disturbed]
    causes = Counter(entry.cause for entry in history.feed)
    limit = wanted.lease + RECOVERY
    broken = fell + ends(history) + lives(history) + overlaps(history) + robbed(history)
    broken += undone(history)
    if not drained:
        broken.append(f"not drained after {wanted.patience:g} s: {dict(counts)}")
    if counts[State.COMPLETED] != wanted.tasks:
        broken.append(f"the engine counts {dict(counts)}, not {wanted.tasks} completed")
    if causes["reclaimed"] < wanted.reclaimed:
        broken.append(f"only {causes['reclaimed']} reclaimed: too few to have tested anything")
    broken += late(came_back, limit)
    broken += late_begins(came_back, limit)
    if on.cut:
        broken.append("the feed was cut before it was read: the history has holes")
    broken += [f"process {pid} outlives the worker that started it" for pid in orphans]
    broken += [f"worker {pid} did not stop when asked to" for pid in stubborn]
    if broken:
        on.keep(history)
    figures = [
        ("tasks", f"{wanted.tasks} of 20-200 ms"),
        ("at a time", f"{wanted.workers} x {wanted.concurrency}, {wanted.children} of them alone"),
        ("kill -9", str(len(on.crew.kills))),
        ("lease", f"{wanted.lease:g} s; max_attempts {on.plan.max_attempts}"),
        ("reclaimed", str(causes["reclaimed"])),
        ("completed", f"{counts[State.COMPLETED]} once each" if not broken else str(dict(counts))),
        ("most attempts of one task", str(max(task.attempt for task in history.tasks.values()))),
        ("most crashes of one task", str(max(task.crashes for task in history.tasks.values()))),
        ("kill to reclaimed", spread(reclaimed)),
        ("kill to next begin", spread(begun)),
        (f"the same, no other kill between, of {len(calm)}", spread(calm)),
    ]
    return Report("kills", command, figures, broken)
