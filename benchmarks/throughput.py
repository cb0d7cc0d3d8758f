"""Tasks per second: the worker beside bare loops, and enqueues."""

import asyncio
import sys
import time
from statistics import median
from typing import Any, NamedTuple

import bare_server
import workload
from arena import (
    HERE,
    Payload,
    count,
    enqueue,
    memory,
    nothing,
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
from tidemill.app import TaskFunction

WORKER = {"sqlite": 15_000, "valkey": 20_000, "redis": 20_000}
"""Tasks per second that one worker process is to reach, by engine."""

SHARE = 60
"""Percent of a bare loop that one worker process is to reach."""


async def loops(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """Bare loops and a worker by turns, each on a new store, with one process and with two."""
    figures = []
    for processes in (1, 2):
        figures += await _loops(kind, tasks, rounds, processes)
    return figures


async def _loops(kind: str, tasks: int, rounds: int, processes: int) -> list[Figure]:
    ways = {"bare loop on the engine": _bare, "worker": _worker}
    if kind != "sqlite":
        ways = {"bare loop on the server": _bare_server, **ways}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(await way(kind, tasks, processes))
    so_many = "one process" if processes == 1 else f"{processes} processes"
    figures = [
        Figure(
            f"{name}, {so_many}",
            median(found),
            "tasks/s",
            WORKER[kind] if (name, processes) == ("worker", 1) else None,
            detail=listed(found),
        )
        for name, found in rates.items()
    ]
    ours = rates.pop("worker")
    detail = f"median of {rounds} rounds by turns, {tasks:,} no-op tasks each"
    for name, found in rates.items():
        share = 100 * median(our / bare for our, bare in zip(ours, found, strict=True))
        budget = SHARE if processes == 1 else None
        figures.append(Figure(f"worker to {name}, {so_many}", share, "%", budget, detail=detail))
    return figures


def listed(rates: list[float]) -> str:
    """The rates of all rounds."""
    return ", ".join(f"{each:,.0f}" for each in rates)


async def _worker(kind: str, tasks: int, processes: int) -> float:
    with store(kind) as url:
        return (await drain(url, tasks, "--processes", str(processes))).rate


async def _bare(kind: str, tasks: int, processes: int) -> float:
    with store(kind) as url:
        async with opened(url) as engine:
            ids = await enqueue(NOOP, tasks)
            await _run("bare.py", url, processes)
            return rate(await recount(engine, ids))


async def _bare_server(kind: str, tasks: int, processes: int) -> float:
    with store(kind) as url:
        await bare_server.enqueue(url, tasks)
        await _run("bare_server.py", url, processes)
        return await bare_server.rate(url, tasks)


async def _run(program: str, url: str, processes: int) -> None:
    """Run a program so many times at once, until all have ended."""
    words = [sys.executable, str(HERE / program), url]
    started = [await asyncio.create_subprocess_exec(*words, cwd=HERE) for _ in range(processes)]
    for each in started:
        if await each.wait():
            raise SystemExit(f"{program} failed")


class Drained(NamedTuple):
    """How fast a worker was, recounted from the engine, and its memory in MB when it was done."""

    rate: float
    memory: float


async def drain(
    url: str,
    tasks: int,
    *flags: str,
    face: TaskFunction[..., Any] = workload.noop,
    payload: Payload = nothing,
) -> Drained:
    """Enqueue tasks that do nothing on a store, and let a worker run them."""
    async with opened(url) as engine:
        before = await count(engine, face.name, State.COMPLETED)
        ids = await enqueue(face, tasks, payload=payload)
        with worker(url, *flags) as process:
            await wait_completed(engine, face.name, before + tasks)
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
        Figure("enqueue, batches of 500", median(bulk), "tasks/s", 30_000, detail=listed(bulk)),
        Figure(
            "enqueue, one awaited call at a time",
            median(single),
            "tasks/s",
            4_000,
            detail=listed(single),
        ),
    ]
