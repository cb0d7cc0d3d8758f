"""`kill -9` at random moments while thousands of tasks run: nothing is lost, nothing ends twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
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
Strike = Callable[[Stage, random.Random, int, str], Awaitable[None]]
"""Kills a worker once so many tasks are completed; the text is for the ticker."""
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
    broken = await attack(
        on, rng, moments_of(rng, wanted.kills, wanted.tasks), wanted.patience, strike_any
    )
    counts = await on.counts()
    orphans = await on.crew.orphans()
    stubborn = await on.crew.close()
    return await _judge(on, command, wanted, counts, broken, orphans, stubborn)


def moments_of(rng: random.Random, number: int, tasks: int) -> list[int]:
    """Numbers of completed tasks after which something is to be killed."""
    return sorted(rng.sample(range(tasks * 9 // 10), number))


async def attack(
    on: Stage,
    rng: random.Random,
    kills: Sequence[int],
    patience: float,
    strike: Strike,
) -> list[str]:
    """Kill workers at these moments, and wait until all is done; answers what went wrong.

    `strike` says who is killed.
    """
    try:
        async with asyncio.timeout(patience):
            for number, moment in enumerate(kills, 1):
                await strike(on, rng, moment, f"{number} of {len(kills)} kills")
            drained = await on.drained(patience, len(on.accepted), "drain")
            on.crew.check()
    except WorkerFell as fell:
        return [str(fell)]
    except TimeoutError:
        drained = False
    return [] if drained else [f"not drained after {patience:g} s: {dict(await on.counts())}"]


async def strike_any(on: Stage, rng: random.Random, moment: int, text: str) -> None:
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


async def strike_busy(on: Stage, rng: random.Random, moment: int, text: str) -> None:
    """Kill a worker that runs something once so many tasks are completed, and start another.

    Nobody when nothing is left to run.
    """
    found: list[int] = []

    def reached() -> bool:
        on.ticker.tell(on.causes["completed"], len(on.accepted), text)
        if on.causes["completed"] >= moment:
            found[:] = busy(on)
        return bool(found) or on.causes["completed"] + on.causes["joined"] >= len(on.accepted)

    while not await until(reached, 1.0):
        on.crew.check()
    if found:
        on.crew.kill(rng.choice(found))
        on.crew.start()


def busy(on: Stage) -> list[int]:
    """The workers in which a task has begun that has not ended, or in a child of theirs."""
    running: dict[str, int] = {}
    for entry in on.read():
        if entry.phase == "begin":
            running[entry.task_id] = entry.pid
        elif entry.phase == "end":
            running.pop(entry.task_id, None)
    return [pid for pid in on.crew.pids if on.crew.with_children(pid) & set(running.values())]


async def _judge(
    on: Stage,
    command: str,
    wanted: Kills,
    counts: Counter[State],
    broken: list[str],
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
    broken += ends(history) + lives(history) + overlaps(history) + robbed(history)
    broken += undone(history)
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
