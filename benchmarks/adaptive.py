"""Measure automatic concurrency beside the best fixed one, on work that has a best one.

`make bench-adaptive` runs all workloads; `--only waits,hashes` chooses, `--quick` takes seconds
instead of minutes. Each workload takes about five minutes. Several fixed numbers of slots run by
turns, two rounds; the best of those that keep the loop runs again before and after `auto`, so that
a machine that gets slower or faster meanwhile favours neither. `auto` runs for three minutes, of
which the last two count. Compared are the medians of completed tasks in a second.
"""

import argparse
import asyncio
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec
import uvloop
from arena import store
from dependency import Dependency
from figures import Figure, machine, markdown

from tidemill import ConcurrencyChanged, TaskCompleted, Tidemill
from tidemill.app import TaskFunction
from tidemill.settings import Settings, WorkerSettings
from tidemill.worker import Worker

HERE = Path(__file__).parent
BATCH = 500
BLOCK = b"tide" * 4_000
LAG_EVERY = 0.01
LATE = 100
"""Milliseconds that the loop may be late (p99): a fixed number that breaks it is not the best."""


class Workload(msgspec.Struct, frozen=True):
    """Work with a best number of slots, and the numbers that are tried.

    `most` is the rate that it cannot exceed, for the number of tasks to prepare. `threads` when it
    runs on threads instead of the loop.
    """

    name: str
    tried: tuple[int, ...]
    most: int
    dependency: Dependency | None = None
    threads: bool = False


WORKLOADS = (
    Workload("waits", (10, 20, 40, 80, 160), 1_000, Dependency(capacity=40, seconds=0.05)),
    Workload("hashes", (1, 2, 5, 10, 20, 100), 600),
    Workload("threads", (1, 2, 4, 8, 16), 1_000, threads=True),
    Workload("fails", (8, 16, 24, 32, 48, 100), 1_000, Dependency(24, 0.03, breaks=True)),
)


class Times(msgspec.Struct, frozen=True):
    """Seconds that a run takes, and from which second on it counts.

    `tried` is one of a fixed number among others, `best` that of the best before and after `auto`.
    """

    tried: int = 4
    tried_from: int = 1
    best: int = 35
    best_from: int = 5
    auto: int = 180
    auto_from: int = 60


QUICK = Times(tried=3, best=12, best_from=2, auto=30, auto_from=15)


class Found(msgspec.Struct, frozen=True):
    """What one run gave: completed tasks in each second that counts, and the loop's lags there."""

    seconds: tuple[int, ...]
    lags: tuple[float, ...]
    changes: tuple[ConcurrencyChanged, ...]

    @property
    def rate(self) -> float:
        """Completed tasks in the median second."""
        return median(self.seconds)

    @property
    def lag(self) -> float:
        """The 99th percentile of the lags, in ms."""
        return 1000 * quantiles(self.lags, n=100, method="inclusive")[98]


def burn() -> None:
    """About 3 ms of processor time that leaves the interpreter's lock alone."""
    hashlib.pbkdf2_hmac("sha256", BLOCK, b"", 10_000)


def declared(app: Tidemill, workload: Workload, port: int) -> TaskFunction[..., Any]:
    """The workload's task type on an application."""
    if workload.dependency is not None:
        idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

        @app.task(max_attempts=1, retention=timedelta(0))
        async def ask() -> None:
            reader, writer = idle.pop() if idle else await asyncio.open_connection(port=port)
            writer.write(b"?\n")
            answer = await reader.readline()
            idle.append((reader, writer))
            if answer != b"yes\n":
                raise ConnectionError("the dependency refused")

        return ask
    if workload.threads:

        @app.task(retention=timedelta(0))
        def hash_on_thread() -> None:
            burn()

        return hash_on_thread

    @app.task(retention=timedelta(0))
    async def hash_on_loop() -> None:
        burn()

    return hash_on_loop


async def run(
    workload: Workload, slots: int | None, length: int, begin: int, backlog: int
) -> Found:
    """One worker in this process for so many seconds; without slots they are automatic.

    `backlog` are the seconds that the waiting tasks would last at the rate that nothing exceeds.
    """
    with store("sqlite") as url:
        app = Tidemill(settings=Settings(url=url))
        async with dependency(workload.dependency) as port:
            task = declared(app, workload, port)
            for _ in range(workload.most * backlog // BATCH):
                await task.enqueue_many([{}] * BATCH)
            found = await _watched(app, _settings(workload, slots), length, begin)
        await app.close()
        return found


def _settings(workload: Workload, slots: int | None) -> WorkerSettings:
    if slots is None:
        return WorkerSettings(concurrency="auto")
    return WorkerSettings(threads=slots) if workload.threads else WorkerSettings(concurrency=slots)


async def _watched(app: Tidemill, settings: WorkerSettings, length: int, begin: int) -> Found:
    clock = asyncio.get_running_loop().time
    seconds, lags, changes = [0] * (length + 60), list[float](), list[ConcurrencyChanged]()
    start = clock()

    def completed(_: TaskCompleted) -> None:
        seconds[int(clock() - start)] += 1

    def changed(event: ConcurrencyChanged) -> None:
        changes.append(event)
        print(f"    {clock() - start:6.1f} s  {event.before} → {event.after}: {event.reason}")

    app.on(TaskCompleted)(completed)
    app.on(ConcurrencyChanged)(changed)
    worker = Worker(app, settings)
    working = asyncio.ensure_future(worker.run())
    while (before := clock()) < start + length:
        await asyncio.sleep(LAG_EVERY)
        if before > start + begin:
            lags.append(clock() - before - LAG_EVERY)
    worker.drain("measured", grace=timedelta(0))
    await working
    return Found(tuple(seconds[begin:length]), tuple(lags), tuple(changes))


@asynccontextmanager
async def dependency(wanted: Dependency | None) -> AsyncIterator[int]:
    """The port of a server in a process of its own; 0 where none is wanted."""
    if wanted is None:
        yield 0
        return
    words = [sys.executable, str(HERE / "dependency.py"), msgspec.json.encode(wanted).decode()]
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    try:
        if process.stdout is None:
            raise SystemExit("the dependency says nothing")
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def compared(workload: Workload, times: Times) -> list[Figure]:
    """The best fixed number of slots, and auto between two runs of it."""
    rates = await _tried(workload, times)
    best = max(rates, key=lambda slots: rates[slots])
    before = await run(workload, best, times.best, times.best_from, times.auto)
    auto = await run(workload, None, times.auto, times.auto_from, times.auto)
    after = await run(workload, best, times.best, times.best_from, times.auto)
    fixed = median(before.seconds + after.seconds)
    late = f"seconds {times.auto_from}-{times.auto}"
    slots = auto.changes[-1].after if auto.changes else 0
    sweep = ", ".join(f"{n}: {rate:.0f}" for n, rate in rates.items())
    stretches = f"{best} slots: {before.rate:.0f} before, {after.rate:.0f} after; tried {sweep}"
    return [
        Figure(f"{workload.name}, best fixed", fixed, "tasks/s", detail=stretches),
        Figure(f"{workload.name}, auto", auto.rate, "tasks/s", detail=f"{late}; {slots} at last"),
        Figure(f"{workload.name}, of the best", 100 * auto.rate / fixed, "%", 90),
        Figure(f"{workload.name}, loop lag p99", auto.lag, "ms", LATE, "<="),
    ]


async def _tried(workload: Workload, times: Times) -> dict[int, float]:
    """What each fixed number completes per second, of those that keep the loop."""
    seconds: dict[int, tuple[int, ...]] = dict.fromkeys(workload.tried, ())
    lags: dict[int, float] = dict.fromkeys(workload.tried, 0.0)
    for slots in workload.tried * 2:
        found = await run(workload, slots, times.tried, times.tried_from, times.tried)
        seconds[slots] += found.seconds
        lags[slots] = max(lags[slots], found.lag)
        print(f"  {workload.name}, {slots:4} fixed: {found.rate:7.1f}/s, lag {found.lag:.1f} ms")
    kept = {slots: median(seconds[slots]) for slots in seconds if lags[slots] < LATE}
    if not kept:
        raise SystemExit(f"{workload.name}: every number of slots made the loop late; nothing kept")
    return kept


async def measured(workloads: Sequence[Workload], times: Times) -> list[Figure]:
    """The figures of some workloads."""
    figures: list[Figure] = []
    for workload in workloads:
        figures += await compared(workload, times)
    return figures


def main() -> None:
    names = [each.name for each in WORKLOADS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(names), help=f"of {','.join(names)}")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    said = parser.parse_args()
    chosen = [each for each in WORKLOADS if each.name in said.only.split(",")]
    here = machine("sqlite")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measured(chosen, QUICK if said.quick else Times()))
    table = markdown(figures, here)
    print(table)
    if said.markdown is not None:
        said.markdown.write_text(table, "utf-8")


if __name__ == "__main__":
    main()
