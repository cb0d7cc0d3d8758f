"""A task that kills its worker is set aside, and takes no neighbour with it."""

import asyncio
import random
import time
from pathlib import Path

import msgspec

from tests.chaos.app import POISON
from tests.chaos.history import ends, lives, overlaps, undone
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.workers import Kill
from tidemill import State, Task


class Poison(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `lease` is in seconds."""

    neighbours: int = 200
    concurrency: int = 20
    lease: float = 1.0
    patience: float = 120.0


async def poison(
    folder: Path, seed: int, wanted: Poison, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    sizes = {
        "concurrency": wanted.concurrency,
        "lease": wanted.lease,
        "heartbeat": wanted.lease / 5,
    }
    with opened(store, folder) as url:
        async with stage(folder, "poison", url, quiet=quiet, **sizes) as on:
            command = repeat("poison", seed, store, wanted)
            return await _run(on, random.Random(seed), wanted, command)


async def _run(on: Stage, rng: random.Random, wanted: Poison, command: str) -> Report:
    naps = [rng.uniform(0.02, 0.2) for _ in range(wanted.neighbours)]
    at = rng.randrange(wanted.concurrency, wanted.neighbours - wanted.concurrency)
    await on.naps(naps[:at])
    culprit = (await on.app.function(POISON).enqueue()).id
    await on.naps(naps[at:])
    on.crew.start()
    fallen, drained = await _supervise(on, wanted)
    stubborn = await on.crew.close()
    bad = (await on.tasks([culprit]))[culprit]
    history = await on.history()
    contradictions = lives(history) + overlaps(history) + undone(history)
    broken = ends(history) + [text for text in contradictions if culprit not in text]
    broken += _of_the_culprit(bad)
    broken += [f"worker {pid} did not stop when asked to" for pid in stubborn]
    if not drained:
        broken.append(f"not drained after {wanted.patience:g} s")
    if fallen != 1:
        broken.append(f"{fallen} workers fell: the first attempt may take one with it, no other")
    if broken:
        on.keep(history)
    beside = sum(task.attempt > 1 for task in history.tasks.values())
    figures = [
        ("neighbours", f"{wanted.neighbours}, {wanted.concurrency} at a time"),
        ("workers killed by the task", str(fallen)),
        ("neighbours that ran again", str(beside)),
        ("the task", f"{bad.state}, {bad.error.type if bad.error else 'no error'}"),
        ("its attempts and crashes", f"{bad.attempt} and {bad.crashes}"),
    ]
    return Report("poison", command, figures, broken)


async def _supervise(on: Stage, wanted: Poison) -> tuple[int, bool]:
    """Start a worker for each that fell, until all is final; answers how many fell."""
    fallen = 0
    try:
        async with asyncio.timeout(wanted.patience):
            while not await on.all_final():
                counts = await on.counts()
                on.ticker.tell(counts[State.COMPLETED], wanted.neighbours, f"{fallen} fallen")
                for pid in on.crew.fallen():
                    fallen += 1
                    on.crew.kills.append(Kill(pid, time.monotonic_ns(), ()))
                    on.crew.start()
                await asyncio.sleep(0.05)
    except TimeoutError:
        return fallen, False
    return fallen, True


def _of_the_culprit(task: Task) -> list[str]:
    broken = []
    if task.state is not State.FAILED:
        broken.append(f"the poison task is {task.state}")
    elif task.error is None or task.error.type != "Poison":
        broken.append(f"the poison task failed with {task.error}")
    if task.attempt != 4:
        broken.append(f"the poison task had {task.attempt} attempts: 1 beside others, 3 alone")
    return broken
