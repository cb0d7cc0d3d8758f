"""A worker frozen for longer than its lease wakes up: what it still holds is refused."""

import asyncio
from collections import Counter
from pathlib import Path

import msgspec

from tests.chaos.app import Ran
from tests.chaos.facts import until
from tests.chaos.history import ends, lives, undone
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened

NAP_SECONDS = 0.5


class Zombie(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `lease` is in seconds."""

    tasks: int = 20
    lease: float = 1.0
    patience: float = 90.0


async def zombie(
    folder: Path, seed: int, wanted: Zombie, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    sizes = {"concurrency": wanted.tasks, "lease": wanted.lease, "heartbeat": wanted.lease / 5}
    with opened(store, folder) as url:
        async with stage(folder, "zombie", url, quiet=quiet, **sizes) as on:
            return await _run(on, wanted, repeat("zombie", seed, store, wanted))


async def _run(on: Stage, wanted: Zombie, command: str) -> Report:
    broken: list[str] = []
    first = on.crew.start()
    await until(lambda: on.crew.is_ready(first), 20)
    ids = await on.naps([NAP_SECONDS] * wanted.tasks)
    if not await until(lambda: _phases(on)["begin"] >= wanted.tasks, 20):
        broken.append("the first worker did not begin all tasks: nothing was tested")
    await _freeze_outside_a_write(on, first)
    on.crew.start()
    if not await on.drained(wanted.patience, wanted.tasks, "the second worker takes over"):
        broken.append(f"the second worker did not take over within {wanted.patience:g} s")
    results = {task.id: task.result for task in (await on.tasks(ids)).values()}
    on.crew.thaw(first)
    if not await until(lambda: _phases(on)["lost"] >= wanted.tasks, wanted.patience):
        broken.append(f"only {_phases(on)['lost']} of {wanted.tasks} leases were lost")
    await on.naps([0.01] * wanted.tasks)
    if not await on.drained(wanted.patience, 2 * wanted.tasks, "both go on"):
        broken.append("the workers did not go on after the zombie woke up")
    if first not in on.crew.pids or on.crew.fallen():
        broken.append("a worker fell")
    stubborn = await on.crew.close()
    broken += [f"worker {pid} did not stop when asked to" for pid in stubborn]
    history = await on.history()
    broken += ends(history) + lives(history) + undone(history)
    for task_id in ids:
        task = history.tasks[task_id]
        ran: Ran = on.app.decode_result(task)
        if task.result != results[task_id] or first in {ran.pid, ran.parent}:
            broken.append(f"{task_id}: the zombie's result was taken")
        if task.attempt != 2:
            broken.append(f"{task_id}: {task.attempt} attempts instead of 2")
    if broken:
        on.keep(history)
    figures = [
        ("tasks held when frozen", str(wanted.tasks)),
        ("lease", f"{wanted.lease:g} s"),
        ("refused as lost", str(_phases(on)["lost"])),
        ("finished by the zombie, not recorded", str(_ended_twice(on))),
    ]
    return Report("zombie", command, figures, broken)


async def _freeze_outside_a_write(on: Stage, pid: int) -> None:
    """Freeze a worker that does not hold the file's write lock.

    A process frozen inside its transaction holds SQLite's write lock, and no other process can
    write until it goes on or ends: that is SQLite's promise, and not what this campaign tests.
    """
    while True:
        on.crew.freeze(pid)
        try:
            async with asyncio.timeout(1):
                await on.engine.pause("nobody", paused=False)
        except TimeoutError:
            on.crew.thaw(pid)
        else:
            return


def _phases(on: Stage) -> Counter[str]:
    return Counter(entry.phase for entry in on.read())


def _ended_twice(on: Stage) -> int:
    ended = Counter(entry.task_id for entry in on.read() if entry.phase == "end")
    return sum(count > 1 for count in ended.values())
