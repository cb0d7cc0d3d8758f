"""Tasks per second: the worker beside the bare loop, enqueues, and a store full of other tasks."""

import asyncio
import subprocess
import sys
import time
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

import workload
from arena import (
    HERE,
    count,
    enqueue,
    fill,
    memory,
    opened,
    rate,
    recount,
    store,
    wait_completed,
    worker,
)
from figures import Figure
from workload import NOOP

from tidemill import State

FULL_STORES = ("waiting", "delayed", "finished")


async def loops(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """The bare loop and a worker by turns, each on a new store."""
    bare, real = [], []
    for _ in range(rounds):
        bare.append(await _bare(kind, tasks))
        with store(kind) as url:
            real.append((await drain(url, tasks)).rate)
    ratios = [r / b for r, b in zip(real, bare, strict=True)]
    detail = f"median of {rounds} rounds by turns, {tasks:,} no-op tasks each"
    return [
        Figure("bare loop, one process", median(bare), "tasks/s", detail=_all(bare)),
        Figure(
            "worker, one process, default settings",
            median(real),
            "tasks/s",
            15_000,
            detail=_all(real),
        ),
        Figure("worker to bare loop", 100 * median(ratios), "%", 60, detail=detail),
    ]


def _all(rates: list[float]) -> str:
    return ", ".join(f"{each:,.0f}" for each in rates)


async def _bare(kind: str, tasks: int) -> float:
    with store(kind) as url:
        async with opened(url) as engine:
            ids = await enqueue(NOOP, tasks)
            words = [sys.executable, str(HERE / "bare.py"), url, str(tasks)]
            await asyncio.to_thread(subprocess.run, words, check=True, cwd=HERE)
            return rate(await recount(engine, ids))


class Drained(NamedTuple):
    """How fast a worker was, recounted from the engine, and its memory in MB when it was done."""

    rate: float
    memory: float


async def drain(url: str, tasks: int, *flags: str) -> Drained:
    """Enqueue no-op tasks on a store, and let a worker run them."""
    async with opened(url) as engine:
        before = await count(engine, NOOP, State.COMPLETED)
        ids = await enqueue(NOOP, tasks)
        with worker(url, *flags) as process:
            await wait_completed(engine, NOOP, before + tasks)
            used = memory(process)
        return Drained(rate(await recount(engine, ids)), used)


async def enqueues(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """Enqueue in batches of 500, and one awaited call at a time."""
    bulk, single = [], []
    for _ in range(rounds):
        with store(kind) as url:
            async with opened(url):
                await enqueue(NOOP, 1_000)
                began = time.perf_counter()
                await enqueue(NOOP, tasks)
                bulk.append(tasks / (time.perf_counter() - began))
                began = time.perf_counter()
                for _ in range(tasks // 10):
                    await workload.noop.enqueue()
                single.append(tasks / 10 / (time.perf_counter() - began))
    return [
        Figure("enqueue, batches of 500", median(bulk), "tasks/s", 30_000, detail=_all(bulk)),
        Figure(
            "enqueue, one awaited call at a time",
            median(single),
            "tasks/s",
            4_000,
            detail=_all(single),
        ),
    ]


async def full_stores(kind: str, tasks: int, rounds: int, ballast: int) -> list[Figure]:
    """A worker on an empty store and on stores full of other tasks, by turns."""
    found: dict[str, list[Drained]] = {name: [] for name in ("empty", *FULL_STORES)}
    with ExitStack() as stack:
        urls = {name: stack.enter_context(store(kind)) for name in FULL_STORES}
        for name, url in urls.items():
            async with opened(url) as engine:
                await fill(engine, name, ballast)
        for _ in range(rounds):
            with store(kind) as url:
                found["empty"].append(await drain(url, tasks, "-Q", "default"))
            for name, url in urls.items():
                found[name].append(await drain(url, tasks, "-Q", "default"))
    empty = [each.rate for each in found.pop("empty")]
    figures = []
    for name, drained in found.items():
        ratios = [each.rate / rate for each, rate in zip(drained, empty, strict=True)]
        figures.append(
            Figure(
                f"throughput with {ballast:,} {name} to an empty store",
                100 * median(ratios),
                "%",
                80,
                detail=f"{_all([each.rate for each in drained])} to {_all(empty)} tasks/s",
            )
        )
    most = max(each.memory for drained in found.values() for each in drained)
    return [*figures, Figure("worker memory on these stores (RSS)", most, "MB", 80, "<=")]
