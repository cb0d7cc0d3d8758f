"""A join after 10,000 tasks, under kills that are most frequent when few of them are left."""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.graph import early, twice
from tests.chaos.history import History, ends, late, lives, overlaps, recoveries, robbed, undone
from tests.chaos.kills import RECOVERY, attack, moments_of, strike_busy
from tests.chaos.report import Report, repeat, spread
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tidemill import Transition
from tidemill.task import After, NewTask

LEFT: Final = (60, 30, 15, 8, 5, 3, 2, 1, 1, 0)
"""Of how many unfinished tasks one is killed; with none left, it is the join."""
QUICK, SLOW = (0.02, 0.2), (1.0, 3.0)
"""Seconds that a task takes, and that one of the last takes: it is to be met while it runs."""
JOIN_SECONDS: Final = 0.5
MEMBERS, JOINS, ROOTS = ("members-1", "members-2", "members-3"), "joins", "roots"


class Chord(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it; half of the `kills` are for the last tasks. `lease` is in seconds."""

    tasks: int = 10_000
    kills: int = 20
    workers: int = 4
    queues: int = 3
    lease: float = 2.5
    patience: float = 420.0


async def chord(
    folder: Path, seed: int, wanted: Chord, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    sizes = {"lease": wanted.lease, "heartbeat": wanted.lease / 5}
    with opened(store, folder) as url:
        async with stage(folder, "chord", url, quiet=quiet, **sizes) as on:
            command = repeat("chord", seed, store, wanted)
            return await _run(on, random.Random(seed), wanted, command)


async def _run(on: Stage, rng: random.Random, wanted: Chord, command: str) -> Report:
    for _ in range(wanted.workers):
        on.crew.start()
    slow = min(LEFT[0], wanted.tasks // 20)
    members = [
        on.new(
            rng.uniform(*(QUICK if left > slow else SLOW)),
            queue=rng.choice(MEMBERS[: wanted.queues]),
        )
        for left in range(wanted.tasks, 0, -1)
    ]
    ids = tuple(task.id for task in members)
    join = on.new(JOIN_SECONDS, queue=JOINS, after=After(ids))
    root = on.new(0.0, queue=ROOTS, after=After((*ids, join.id), joins=True))
    began = time.monotonic()
    await on.enqueue([*members, join, root], batch=len(members) + 2)
    took = time.monotonic() - began
    broken = await attack(on, rng, _moments(rng, wanted), wanted.patience, strike_busy)
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    return await _judge(on, command, wanted, (join, root), took, broken)


def _moments(rng: random.Random, wanted: Chord) -> list[int]:
    """Numbers of completed tasks: half of them on the way, the others when few are left."""
    last = LEFT[len(LEFT) - min(len(LEFT), wanted.kills // 2) :]
    on_the_way = moments_of(rng, wanted.kills - len(last), wanted.tasks)
    return [*on_the_way, *(wanted.tasks - left for left in last)]


async def _judge(
    on: Stage,
    command: str,
    wanted: Chord,
    after: tuple[NewTask, NewTask],
    took: float,
    broken: list[str],
) -> Report:
    join, root = (task.id for task in after)
    history = await on.history()
    came_back = recoveries(history)
    broken += ends(history) + lives(history) + overlaps(history) + robbed(history)
    broken += undone(history) + early(after, on.feed) + twice(after, on.feed)
    broken += late(came_back, wanted.lease + RECOVERY)
    causes = {each: Counter(e.cause for e in on.feed if e.task_id == each) for each in (join, root)}
    broken += _once("the join", causes[join], {"upstream_final": 1, "completed": 1, "joined": 0})
    broken += _once("the root", causes[root], {"upstream_final": 0, "claimed": 0, "joined": 1})
    if causes[join]["claimed"] != 1 + causes[join]["reclaimed"]:
        broken.append(f"the join was claimed {causes[join]['claimed']} times: {dict(causes[join])}")
    if 2 * len(on.crew.kills) < wanted.kills or (wanted.kills and not came_back):
        broken.append(f"{len(on.crew.kills)} kills, {len(came_back)} reclaimed: too few")
    if on.cut:
        broken.append("the feed was cut before it was read: the history has holes")
    if broken:
        on.keep(history)
    figures = [
        (
            "tasks",
            f"{wanted.tasks:,} of 20-200 ms in {wanted.queues} queues, and a join, and a root",
        ),
        ("enqueued in one step", f"{took:.2f} s"),
        ("workers", f"{wanted.workers} at a time"),
        ("kill -9", _told(history, join, wanted.tasks)),
        ("tasks that came back", str(len(came_back))),
        ("starts of the join", str(causes[join]["claimed"])),
        ("last end to the join's start", _gap(on.feed, join)),
        ("kill to reclaimed", spread([each.reclaimed for each in came_back])),
    ]
    return Report("chord", command, figures, broken)


def _told(history: History, join: str, tasks: int) -> str:
    """How many were killed, and how many of them when few tasks, or only the join, were left."""
    ended = [e.at for e in history.feed if e.queue in MEMBERS and e.state.final]
    went_on = [e.at for e in history.feed if e.task_id == join and e.cause == "upstream_final"]
    if len(ended) < tasks or not went_on:
        return f"{len(set(history.killed.values()))}"
    few, none = (history.instant(at) for at in (sorted(ended)[-LEFT[0]], went_on[0]))
    kills = set(history.killed.values())
    near, last = (sum(few < at < none for at in kills), sum(none < at for at in kills))
    return f"{len(kills)}, {near} with at most {LEFT[0]} tasks left, {last} with only the join"


def _once(what: str, causes: Counter[str], expected: dict[str, int]) -> list[str]:
    return [
        f"{what}: {causes[cause]} times {cause}, not {times}"
        for cause, times in expected.items()
        if causes[cause] != times
    ]


def _gap(feed: list[Transition], join: str) -> str:
    """How long after the last task that it comes after the join was first claimed."""
    claimed = [entry.at for entry in feed if entry.task_id == join and entry.cause == "claimed"]
    ended = [e.at for e in feed if e.queue in MEMBERS and e.state.final]
    return f"{(claimed[0] - max(ended)).total_seconds():.3f} s" if claimed and ended else "never"
