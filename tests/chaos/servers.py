"""Workers and their server are killed at random while others enqueue: nothing is lost or doubled.

Killing a server (SIGKILL) says nothing about fsync: what it had written is in the kernel's hands
and is read again after the restart, whether a disk ever had it or not. Only a machine that loses
its power tests that. So the server's files lie in memory, where there is such a place (`swift`).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from tests.chaos.facts import aside, until
from tests.chaos.history import (
    Outage,
    ends,
    late,
    lives,
    overlaps,
    recoveries,
    robbed,
    undone,
)
from tests.chaos.kills import RECOVERY, moments_of, strike_any
from tests.chaos.producer import Producer
from tests.chaos.report import Report, repeat, spread
from tests.chaos.resumption import idle, resumed
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, swift
from tests.chaos.workers import WorkerFell
from tests.servers.server import Server, server
from tidemill import State

AOF: Final = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "auto-aof-rewrite-min-size": "16mb",  # so that some are killed while they rewrite their file
}
DOWN: Final = (0.2, 2.0)
"""Seconds for which a killed server stays away, before it reads its file."""
LONGEST_IDLE: Final = 10.0
"""Seconds that a worker may leave ready tasks alone."""
LARGEST_BATCH: Final = 40


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `lease` is in seconds and longer than an outage; `patience` bounds it all.

    `backlog` is how far the producers are ahead of the workers.
    """

    tasks: int = 20_000
    kills: int = 100
    outages: int = 20
    workers: int = 3
    producers: int = 2
    backlog: int = 1_000
    concurrency: int = 24
    children: int = 2
    lease: float = 8.0
    reclaimed: int = 1_000
    patience: float = 900.0


async def servers(
    folder: Path, seed: int, wanted: Servers, *, store: StoreName = "valkey", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    assert store != "sqlite"
    sizes = {
        "concurrency": wanted.concurrency,
        "children": wanted.children,
        "lease": wanted.lease,
        "heartbeat": wanted.lease / 8,
    }
    with swift(folder) as kept, server(kept / "server", kind=store, config=AOF) as served:
        async with AsyncExitStack() as stack:
            on = await stack.enter_async_context(
                stage(folder, "servers", served.url, quiet=quiet, **sizes)
            )
            crowd = [Producer(on, on.engine.session()) for _ in range(wanted.producers)]
            for producer in crowd:
                stack.push_async_callback(producer.session.close)
            broken = await _attack(on, served, random.Random(seed), wanted, crowd)
            counts = await on.counts()
            broken += [f"process {pid} outlives its worker" for pid in await on.crew.orphans()]
            broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
            command = repeat("servers", seed, store, wanted)
            return await _judge(on, command, wanted, crowd, counts, broken)


async def _attack(
    on: Stage, served: Server, rng: random.Random, wanted: Servers, crowd: Sequence[Producer]
) -> list[str]:
    """Enqueue, kill and wait for the end; answers what went wrong on the way."""
    for _ in range(wanted.workers):
        on.crew.start()
    kills, outages, *naps = (random.Random(rng.random()) for _ in range(2 + wanted.producers))
    moments = moments_of(kills, wanted.kills, wanted.tasks)
    broken: list[str] = []
    try:
        async with asyncio.timeout(wanted.patience):
            async with asyncio.TaskGroup() as group:
                group.create_task(_kill_workers(on, kills, moments))
                group.create_task(_kill_server(on, served, outages, wanted))
                for producer, each in zip(crowd, naps, strict=True):
                    group.create_task(_produce(on, producer, each, wanted, moments))
            if not await on.drained(wanted.patience, wanted.tasks, "drain"):
                broken.append(f"not drained: {dict(await on.counts())}")
            on.crew.check()
    except* WorkerFell as fell:
        broken += map(str, fell.exceptions)
    except* TimeoutError:
        broken.append(f"not over after {wanted.patience:g} s: {dict(await on.counts())}")
    return broken


def _reached(on: Stage, moment: int) -> bool:
    return on.causes["completed"] >= moment


async def _kill_workers(on: Stage, rng: random.Random, moments: Sequence[int]) -> None:
    for number, moment in enumerate(moments, 1):
        text = f"{number} of {len(moments)} kills, {len(on.outages)} outages"
        await strike_any(on, rng, moment, text)


async def _kill_server(on: Stage, served: Server, rng: random.Random, wanted: Servers) -> None:
    for moment in moments_of(rng, wanted.outages, wanted.tasks):
        await until(partial(_reached, on, moment), wanted.patience)
        await asyncio.sleep(rng.uniform(0, 0.3))
        began = time.monotonic_ns()
        await aside(served.kill)
        await asyncio.sleep(rng.uniform(*DOWN))
        await aside(served.start)
        on.outages.append(Outage(began, time.monotonic_ns()))


async def _produce(
    on: Stage, producer: Producer, rng: random.Random, wanted: Servers, moments: Sequence[int]
) -> None:
    """Enqueue this producer's part, at the pace of the kills: each is to meet tasks to lose."""

    def wanting() -> bool:
        kills = len(on.crew.kills)
        reached = on.causes["completed"]
        if kills < len(moments):
            reached = min(reached, moments[kills])
        return len(on.accepted) < reached + wanted.backlog

    left = wanted.tasks // wanted.producers
    while left:
        batch = min(left, rng.randint(1, LARGEST_BATCH))
        await producer.put([rng.uniform(0.02, 0.2) for _ in range(batch)])
        left -= batch
        await until(wanting, wanted.patience)


async def _judge(
    on: Stage,
    command: str,
    wanted: Servers,
    crowd: Sequence[Producer],
    counts: Counter[State],
    broken: list[str],
) -> Report:
    history = await on.history()
    came_back = recoveries(history)
    causes = on.causes
    up_again = [outage.ended for outage in on.outages]
    broken += ends(history) + lives(history) + overlaps(history) + robbed(history)
    broken += undone(history) + late(came_back, wanted.lease + RECOVERY)
    broken += idle(history, LONGEST_IDLE)
    if not len(on.accepted) == counts[State.COMPLETED] == counts.total():
        broken.append(f"{len(on.accepted)} accepted, the engine counts {dict(counts)}")
    if causes["reclaimed"] < wanted.reclaimed:
        broken.append(f"only {causes['reclaimed']} reclaimed: too few to have tested anything")
    if on.cut:
        broken.append("the feed was cut before it was read: the history has holes")
    if broken:
        on.keep(history)
    raised = sum(len(producer.raised) for producer in crowd)
    away = [(outage.ended - outage.began) / 1e9 for outage in on.outages]
    producing = [wait for producer in crowd for wait in producer.answered(up_again)]
    begun = [each.begun for each in came_back if each.begun is not None]
    figures = [
        ("tasks", f"{len(on.accepted)} of 20-200 ms, {wanted.producers} producers"),
        ("at a time", f"{wanted.workers} x {wanted.concurrency}"),
        ("kill -9 of workers", str(len(on.crew.kills))),
        (
            "kill -9 of the server",
            f"{len(away)}, appendfsync everysec; fsync is not tested by this",
        ),
        ("server away", f"p50 {median(away):.2f} s, max {max(away):.2f} s" if away else "never"),
        ("enqueues that raised and were repeated", str(raised)),
        ("lease", f"{wanted.lease:g} s; max_attempts {on.plan.max_attempts}"),
        ("reclaimed", str(causes["reclaimed"])),
        ("lost, settled twice, stuck", "0, 0, 0" if not broken else "see below"),
        ("completed", f"{counts[State.COMPLETED]} once each" if not broken else str(dict(counts))),
        ("server back to a worker's next begin", spread(resumed(history.ledger, up_again))),
        ("server back to a producer's next answer", spread(producing)),
        ("kill to reclaimed, server time", spread([each.reclaimed for each in came_back])),
        ("kill to next begin, server time", spread(begun)),
    ]
    return Report("servers", command, figures, broken)
