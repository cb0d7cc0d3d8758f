"""A graph of 1,000 tasks 30 deep, in order; and what a failing one does to it under each policy."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

import msgspec

from tests.chaos.app import NAP, REFUSE
from tests.chaos.graph import early, misjudged, twice
from tests.chaos.history import History, lives, overlaps, undone
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tidemill import State, Task
from tidemill.task import After, NewTask

Policy = Literal["fail", "skip", "continue"]
POLICIES: Final[tuple[Policy, ...]] = ("fail", "skip", "continue")
QUEUES: Final = ("even", "odd")
MOST_UPSTREAM: Final = 4


class Dag(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `failing` are those of the last graph, which mixes the policies."""

    nodes: int = 1_000
    depth: int = 30
    workers: int = 4
    failing: int = 12
    patience: float = 180.0


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph, upstream tasks first; `failing` are the ids of those that fail if they run."""

    tasks: Sequence[NewTask]
    failing: frozenset[str] = frozenset()


async def dag(
    folder: Path, seed: int, wanted: Dag, *, store: StoreName = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    with opened(store, folder) as url:
        async with stage(folder, "dag", url, quiet=quiet) as on:
            command = repeat("dag", seed, store, wanted)
            return await _run(on, random.Random(seed), wanted, command)


async def _run(on: Stage, rng: random.Random, wanted: Dag, command: str) -> Report:
    for _ in range(wanted.workers):
        on.crew.start()
    graphs = {"all well": drawn(on, rng, wanted, ("fail",), 0)}
    graphs |= {f"one fails, {policy}": drawn(on, rng, wanted, (policy,), 1) for policy in POLICIES}
    graphs[f"{wanted.failing} fail, mixed"] = drawn(on, rng, wanted, POLICIES, wanted.failing)
    broken = []
    for name, graph in graphs.items():
        await on.enqueue(graph.tasks, batch=len(graph.tasks))
        if not await on.drained(wanted.patience, len(on.accepted), name):
            broken.append(f"{name}: not drained: {dict(await on.counts())}")
            break
    broken += [f"worker {pid} did not stop when asked to" for pid in await on.crew.close()]
    history = await on.history()
    broken += lives(history) + overlaps(history) + undone(history)
    figures = [("graphs", f"{len(graphs)} of {wanted.nodes:,} tasks, {wanted.depth} deep")]
    for name, graph in graphs.items():
        judged = judge(graph, history)
        broken += [f"{name}: {text}" for text in judged]
        figures.append((name, _became(graph, history)))
    if on.cut:
        broken.append("the feed was cut before it was read: the history has holes")
    if broken:
        on.keep(history)
    return Report("dag", command, figures, broken)


def drawn(
    on: Stage, rng: random.Random, wanted: Dag, policies: Sequence[Policy], failing: int
) -> Graph:
    """A graph of random edges: each level has a task, and each task one upstream a level above."""
    spare = wanted.nodes - wanted.depth
    sizes = Counter([*range(wanted.depth), *(rng.randrange(wanted.depth) for _ in range(spare))])
    bounds = [0]
    for level in range(wanted.depth):
        bounds.append(bounds[-1] + sizes[level])
    # Failing ones stand in the first half, so that there is something after them.
    chosen = set(rng.sample(range(bounds[1], bounds[wanted.depth // 2]), failing))
    tasks: list[NewTask] = []
    for number in range(wanted.nodes):
        level = next(n for n, (start, end) in enumerate(pairwise(bounds)) if start <= number < end)
        upstream = _upstream(rng, tasks, bounds[level - 1], bounds[level]) if level else None
        tasks.append(
            on.new(
                rng.uniform(0, 0.02),
                name=REFUSE if number in chosen else NAP,
                queue=rng.choice(QUEUES),
                after=upstream and After(upstream, on_failure=rng.choice(policies)),
            )
        )
    return Graph(tasks, frozenset(tasks[number].id for number in chosen))


def _upstream(
    rng: random.Random, tasks: Sequence[NewTask], above: int, until: int
) -> tuple[str, ...]:
    """One task of the level above (`above` to `until`), and some of any level before."""
    numbers = {rng.randrange(above, until)}
    numbers |= {rng.randrange(until) for _ in range(rng.randrange(MOST_UPSTREAM))}
    return tuple(tasks[number].id for number in rng.sample(sorted(numbers), len(numbers)))


def judge(graph: Graph, history: History) -> list[str]:
    """What was out of order, ran or ended as it should not, or began before another had ended."""
    ids = {task.id for task in graph.tasks}
    feed = [entry for entry in history.feed if entry.task_id in ids]
    ended = {entry.task_id: entry.at for entry in history.ledger if entry.phase == "end"}
    begun = {entry.task_id: entry.at for entry in history.ledger if entry.phase == "begin"}
    return [
        *early(graph.tasks, feed),
        *twice(graph.tasks, feed),
        *misjudged(graph.tasks, history.tasks, graph.failing),
        *(
            f"{task.id}: begun although {up} had not ended"
            for task in graph.tasks
            for up in (task.after.tasks if task.after is not None else ())
            if task.id in begun and up in begun and begun[task.id] < ended.get(up, begun[up])
        ),
    ]


def _became(graph: Graph, history: History) -> str:
    found: list[Task] = [history.tasks[t.id] for t in graph.tasks if t.id in history.tasks]
    states = Counter(task.state for task in found)
    ran = sum(task.attempt > 0 for task in found)
    skipped = sum(task.reason == "skipped" for task in found)
    return (
        f"{ran} ran, {states[State.COMPLETED]} completed, {states[State.FAILED]} failed, "
        f"{skipped} skipped, {states[State.CANCELLED] - skipped} cancelled"
    )
