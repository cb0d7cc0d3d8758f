"""Watches the memory of a worker's process: what is too much, and what only ever grows."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import psutil

from tidemill.events import MemoryGrowing

CHECK = 2.0
"""Seconds between two looks."""

LOOKS = 60
"""Looks in a row that growth is judged by: two minutes."""

STEADY = 0.8
"""The part of them in which memory must have grown."""

GROWN = 0.1
GROWN_MIB = 16
"""How much it must have grown in all: such a part, and so much."""

TASKS = 100
"""Tasks that must have ended meanwhile: a worker that only warms up runs few."""

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at `at`, in seconds of any clock: memory in bytes, tasks taken so far."""

    at: float
    used: int
    tasks: int


def growing(looks: Sequence[Look]) -> bool:
    """Whether memory grows steadily over these looks, while tasks run; False for too few looks."""
    if len(looks) < LOOKS:
        return False
    first, last = looks[0], looks[-1]
    grew = sum(b.used > a.used for a, b in pairwise(looks))
    return (
        grew >= STEADY * (len(looks) - 1)
        and last.used - first.used >= max(GROWN * first.used, GROWN_MIB * MIB)
        and last.tasks - first.tasks >= TASKS
    )


async def watch_memory(
    worker: str,
    limit_mib: int | None,
    tasks: Callable[[], int],
    *,
    tell: Callable[[MemoryGrowing], None],
    full: Callable[[str], None],
) -> None:
    """Look until cancelled; `tell` hears of growth, `full` of the limit, after which it ends.

    Growth is told again when it has gone on for as many looks as it took to notice it.
    """
    process = psutil.Process()
    looks: deque[Look] = deque(maxlen=LOOKS)
    while True:
        used = process.memory_info().rss
        if limit_mib is not None and used >= limit_mib * MIB:
            full(f"at {used // MIB} MiB of memory")
            return
        looks.append(Look(time.monotonic(), used, tasks()))
        if growing(looks):
            tell(_told(worker, limit_mib, looks))
            looks.clear()
        await asyncio.sleep(CHECK)


def _told(worker: str, limit_mib: int | None, looks: Sequence[Look]) -> MemoryGrowing:
    first, last = looks[0], looks[-1]
    return MemoryGrowing(
        worker,
        used_mib=last.used // MIB,
        grown_mib=(last.used - first.used) // MIB,
        over=timedelta(seconds=last.at - first.at),
        tasks=last.tasks - first.tasks,
        limit_mib=limit_mib,
    )
