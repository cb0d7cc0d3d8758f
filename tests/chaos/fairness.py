"""One key has 100,000 tasks waiting and another adds one; and a thousand keys take turns."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.facts import until
from tests.chaos.history import History, late, lives, overlaps, recoveries, robbed
from tests.chaos.kills import RECOVERY, busy
from tests.chaos.ledger import Entry
from tests.chaos.limits import HOLDS_SLOT, most_at_once
from tests.chaos.report import Report, repeat, spread
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.workers import WorkerFell
from tidemill import State, Transition
from tidemill.task import Limit

GREEDY, MODEST = "A", "B"
LONG, SHORT = 0.05, 0.005
PAUSE: Final = (0.05, 0.4)
"""Seconds between two tasks of the modest key."""
IN_TURN: Final = 2
"""Slots of each key of the crowd."""
ROUNDS: Final = 10
"""Turns of each key of the crowd that are watched."""


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it, in seconds: a task of the modest key starts `within` of its enqueue."""

    tasks: int = 100_000
    slots: int = 10
    trials: int = 100
    within: float = 1.0
    keys: int = 1_000
    of_each: int = 100
    lease: float = 2.5
    patience: float = 120.0


@dataclass(frozen=True, slots=True)
class Found:
    """What one part of the campaign has to say."""

    figures: Sequence[tuple[str, str]]
    broken: Sequence[str]


async def fairness(
    folder: Path, seed: int, wanted: Fairness, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    rng = random.Random(seed)
    sizes = {"concurrency": wanted.slots, "lease": wanted.lease, "heartbeat": wanted.lease / 5}
    parts: dict[str, Callable[[Stage], Awaitable[Found]]] = {
        "one worker": lambda on: _greedy(on, rng, wanted, 1),
        "two workers": lambda on: _greedy(on, rng, wanted, 2),
        f"{wanted.keys:,} keys": lambda on: _crowd(on, rng, wanted),
    }
    figures, broken = [], []
    for name, part in parts.items():
        place = folder / name.replace(" ", "-").replace(",", "")
        place.mkdir()
        with opened(store, place) as url:
            async with stage(place, f"fairness, {name}", url, quiet=quiet, **sizes) as on:
                found = await part(on)
        figures += [(f"{name}: {what}", value) for what, value in found.figures]
        broken += [f"{name}: {text}" for text in found.broken]
    return Report("fairness", repeat("fairness", seed, store, wanted), figures, broken)


async def _greedy(on: Stage, rng: random.Random, wanted: Fairness, workers: int) -> Found:
    """One key has everything waiting; of two workers one is killed half-way."""
    limit = Limit(GREEDY, wanted.slots)
    greedy = await on.enqueue([on.new(LONG, limit=limit) for _ in range(wanted.tasks)])
    sent, broken = await _added(on, rng, wanted, workers, wanted.trials)
    ours = set(greedy)
    counts = await on.counts()
    held = counts[State.PENDING] + counts[State.RUNNING]
    if held != wanted.slots:
        broken.append(f"{held} of the {wanted.slots} slots are held, although tasks wait")
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    history = await on.history()
    started = {entry.task_id for entry in on.feed if entry.cause == "claimed"}
    came_back = recoveries(history)
    most = most_at_once(on.feed, lambda entry: _name(entry, ours), HOLDS_SLOT)[GREEDY]
    if most > wanted.slots:
        broken.append(f"{most} of one key were pending or running at once, not {wanted.slots}")
    waits = _waits(history.ledger, sent)
    broken += [
        f"{task_id}: started {wait:.2f} s after it was enqueued"
        for task_id, wait in waits.items()
        if wait > wanted.within
    ]
    broken += [f"{task_id}: never started" for task_id in sent.keys() - waits.keys()]
    contradictions = overlaps(history) + robbed(history) + lives(_only(history, sent))
    broken += contradictions + late(came_back, wanted.lease + RECOVERY)
    figures = [
        ("enqueue to start", f"{spread(list(waits.values()))}, n={len(waits)}"),
        ("of the greedy key", f"{len(started & ours):,} of {wanted.tasks:,} started meanwhile"),
        ("most slots at once", f"{most} of {wanted.slots}"),
    ]
    if workers > 1:
        figures.append(("slots of the killed back", spread([each.reclaimed for each in came_back])))
    return Found(figures, broken)


async def _crowd(on: Stage, rng: random.Random, wanted: Fairness) -> Found:
    """A thousand keys have tasks waiting, all of one key before those of the next."""
    naps = [
        on.new(SHORT, limit=Limit(f"key-{number}", IN_TURN))
        for number in range(wanted.keys)
        for _ in range(wanted.of_each)
    ]
    await on.enqueue(naps)
    keys = {task.id: task.limit.key for task in naps if task.limit is not None}
    sent, broken = await _added(on, rng, wanted, 1, wanted.trials // 5)
    if not await until(lambda: on.causes["completed"] >= ROUNDS * wanted.keys, wanted.patience):
        broken.append(f"only {on.causes['completed']} completed in {wanted.patience:g} s")
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    await on.caught_up()
    most = most_at_once(on.feed, lambda entry: keys.get(entry.task_id), HOLDS_SLOT)
    broken += [f"{key}: {n} at once, not {IN_TURN}" for key, n in most.items() if n > IN_TURN]
    done = Counter(keys[e.task_id] for e in on.feed if e.cause == "completed" and e.task_id in keys)
    turns = [done[f"key-{number}"] for number in range(wanted.keys)]
    # Each key has so many places in one line, and those that run may end in another order.
    if max(turns) - min(turns) > 2 * IN_TURN:
        broken.append(f"one key has had {max(turns)} turns, and another {min(turns)}")
    before = _overtaken(on.feed, sent)
    limit = wanted.keys * IN_TURN + 2 * wanted.slots
    broken += [
        f"{task_id}: {count} others were started before it, more than have a place in the line"
        for task_id, count in before.items()
        if count > limit
    ]
    figures = [
        ("turns that each has had", f"{min(turns)} to {max(turns)}"),
        ("others started before one that is added", f"at most {max(before.values(), default=0):,}"),
        ("enqueue to start", spread(list(_waits(on.read(), sent).values()))),
    ]
    return Found(figures, broken)


async def _added(
    on: Stage, rng: random.Random, wanted: Fairness, workers: int, trials: int
) -> tuple[Mapping[str, int], list[str]]:
    """Add tasks of the modest key one by one; answers when (monotonic nanoseconds), and complaints.

    Of several workers one is killed half-way, and another is started.
    """
    sent: dict[str, int] = {}
    broken = []
    for _ in range(workers):
        on.crew.start()
    try:
        await until(lambda: all(map(on.crew.is_ready, on.crew.pids)), wanted.patience)
        for trial in range(trials):
            on.ticker.tell(trial, trials, "added")
            on.crew.check()
            if workers > 1 and trial == trials // 2:
                if not await until(lambda: _killed_at_work(on, rng), wanted.patience):
                    broken.append("no worker was found at work")
                on.crew.start()
            await asyncio.sleep(rng.uniform(*PAUSE))
            task = on.new(SHORT, limit=Limit(MODEST, wanted.slots))
            sent[task.id] = time.monotonic_ns()
            await on.enqueue([task])
        if not await until(lambda: _all_final(on, sent), wanted.patience):
            broken.append("not all that were added have ended")
        lost = workers > 1
        if lost and not await until(lambda: on.causes["reclaimed"] > 0, wanted.lease + RECOVERY):
            broken.append("nothing was reclaimed from the killed worker")
    except WorkerFell as fell:
        broken.append(str(fell))
    return sent, broken


def _killed_at_work(on: Stage, rng: random.Random) -> bool:
    """Kill a worker in the middle of a task; not one whose tasks ended since it was looked at.

    The other one may hold all slots: killing an idle worker would tell nothing.
    """
    for pid in rng.sample(found := busy(on), len(found)):
        on.crew.freeze(pid)
        if pid in busy(on):
            on.crew.kill(pid)
            return True
        on.crew.thaw(pid)
    return False


def _all_final(on: Stage, ids: Mapping[str, int]) -> bool:
    return sum(entry.task_id in ids and entry.state.final for entry in on.feed) == len(ids)


def _name(entry: Transition, greedy: set[str]) -> str:
    return GREEDY if entry.task_id in greedy else MODEST


def _waits(ledger: Sequence[Entry], sent: Mapping[str, int]) -> dict[str, float]:
    """Seconds from before the enqueue of each to its first begin."""
    waits: dict[str, float] = {}
    for entry in ledger:
        if entry.phase == "begin" and entry.task_id in sent:
            waits.setdefault(entry.task_id, (entry.at - sent[entry.task_id]) / 1e9)
    return waits


def _overtaken(feed: Sequence[Transition], sent: Mapping[str, int]) -> dict[str, int]:
    """How many others were claimed since each became pending, until it was claimed.

    Where it takes long, many of them wait at once, and the last ones for a slot of their own key.
    """
    claims, waiting, found = 0, {}, {}
    for entry in feed:
        if entry.state is State.PENDING and entry.task_id in sent:
            waiting[entry.task_id] = claims
        if entry.cause == "claimed":
            if entry.task_id in waiting:
                found[entry.task_id] = claims - waiting.pop(entry.task_id)
            claims += 1
    return found


def _only(history: History, ids: Mapping[str, int]) -> History:
    """What is known of these tasks."""
    feed = [entry for entry in history.feed if entry.task_id in ids]
    return replace(history, accepted=list(ids), feed=feed)
