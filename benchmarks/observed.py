"""What watching costs: a worker with all of it, beside one with nothing of it.

All of it is metrics, JSON logs, statistics, the worker's record, and alerts, with readings each
second instead of each ten. Nothing is none of these, which takes a program of its own
(`unwatched.py`), and only errors are logged.
"""

from collections.abc import Mapping
from datetime import timedelta
from statistics import median
from typing import Final, NamedTuple

import msgspec
import workload
from arena import cpu, enqueue, opened, rate, recount, store, wait_completed, worker
from figures import Figure
from throughput import listed
from workload import NOOP

from tidemill.engine import HistoryQuery
from tidemill.task import DEFAULT_QUEUE
from tidemill.worker_record import WORKER

LEAST: Final = 90
"""Percent of the throughput without that must be left with everything on."""

ROUNDS: Final = 5
"""At least so many: two workers that differ by little are compared."""

WARM_UP: Final = 500


class Way(msgspec.Struct, frozen=True):
    """How a worker is started, and whether it counts what it does and says that it is there."""

    flags: tuple[str, ...]
    variables: Mapping[str, str]
    module: str = "tidemill"

    @property
    def watches(self) -> bool:
        """Whether it is the one with everything."""
        return self.module == "tidemill"


WAYS: Final = {
    "watched": Way(
        ("--metrics-port", "0", "--log-format", "json"), {"TIDEMILL_ALERTS__EVERY": "1"}
    ),
    "not watched": Way(("--log-level", "error"), {"TIDEMILL_ALERTS__ENABLED": "no"}, "unwatched"),
}


class Drained(NamedTuple):
    """Tasks per second, and the processor time of the worker for each in microseconds."""

    rate: float
    cpu: float


async def observed(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """No-op tasks through one process by turns, each on a new store."""
    rounds = max(rounds, ROUNDS)
    found: dict[str, list[Drained]] = {name: [] for name in WAYS}
    for number in range(rounds):
        # Who is first changes: a machine that gets slower must not favour one of them.
        for name in sorted(WAYS, reverse=number % 2 == 0):
            with store(kind) as url:
                found[name].append(await _drain(url, tasks, WAYS[name]))
    on, off = found["watched"], found["not watched"]
    share = 100 * median(one.rate / other.rate for one, other in zip(on, off, strict=True))
    more = 100 * median(one.cpu / other.cpu for one, other in zip(on, off, strict=True))
    detail = f"median of {rounds} rounds by turns, {tasks:,} no-op tasks each"
    return [
        *(
            Figure(f"worker, {name}", median(rates), "tasks/s", detail=listed(rates))
            for name, drained in found.items()
            if (rates := [each.rate for each in drained])
        ),
        Figure("throughput, watched to not watched", share, "%", LEAST, detail=detail),
        *(
            Figure(
                f"worker's processor time for a task, {name}",
                median(times),
                "µs",
                detail=listed(times),
            )
            for name, drained in found.items()
            if (times := [each.cpu for each in drained])
        ),
        Figure("processor time, watched to not watched", more, "%", detail=detail),
    ]


async def _drain(url: str, tasks: int, way: Way) -> Drained:
    """Let a worker that has begun run tasks; it must be watched, or not, as it should be."""
    async with opened(url) as engine:
        with worker(url, *way.flags, module=way.module, **way.variables) as process:
            await enqueue(NOOP, WARM_UP)
            await wait_completed(engine, NOOP, WARM_UP)
            await workload.app.queues.pause(DEFAULT_QUEUE)
            ids = await enqueue(NOOP, tasks)
            before = cpu(process)
            await workload.app.queues.resume(DEFAULT_QUEUE)
            await wait_completed(engine, NOOP, WARM_UP + tasks)
            used = cpu(process) - before
            told = bool(await engine.documents(WORKER))
        now = (await engine.stats()).at
        tallies = await engine.history(HistoryQuery(since=now - timedelta(hours=1), until=now))
        counted = sum(each.completed for each in tallies if each.task_type == NOOP)
        if (told, counted) != (way.watches, (WARM_UP + tasks) * way.watches):
            raise SystemExit(f"{way.module}: its record is there: {told}; counted: {counted:,}")
        return Drained(rate(await recount(engine, ids)), 1e6 * used / tasks)
