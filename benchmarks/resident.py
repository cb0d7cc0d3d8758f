"""A worker that waits: how fast it starts what comes, and what it costs meanwhile."""

import asyncio
import random
import time

import workload
from arena import (
    cpu,
    enqueue,
    memory,
    opened,
    recount,
    store,
    wait_completed,
    wait_count,
    worker,
)
from figures import Figure, percentiles
from workload import HANG, NOOP, STAMP

from tidemill import State

WARM_UP = 20


async def latency(kind: str, samples: int) -> list[Figure]:
    """From before the enqueue in this process to the first line of the task in the worker's."""
    rng = random.Random(0)
    with store(kind) as url:
        async with opened(url) as engine:
            with worker(url):
                await _settled(engine_tasks=WARM_UP)
                sent: dict[str, int] = {}
                for _ in range(samples):
                    await asyncio.sleep(rng.uniform(0.01, 0.05))
                    at = time.monotonic_ns()
                    sent[(await workload.stamp.enqueue()).id] = at
                await wait_completed(engine, STAMP, samples + WARM_UP)
            tasks = await recount(engine, list(sent))
    waits = [(workload.app.decode_result(task) - sent[task.id]) / 1e6 for task in tasks]
    return percentiles("enqueue to start, idle worker", waits, "ms", p50=2, p99=10)


async def _settled(engine_tasks: int) -> None:
    """Run some tasks, so that what is measured is a worker at rest and not one that starts."""
    for _ in range(engine_tasks):
        await (await workload.stamp.enqueue()).result(timeout=30)


async def at_rest(kind: str, tasks: int, seconds: float) -> list[Figure]:
    """CPU and memory of an idle worker, and its memory after many tasks."""
    with store(kind) as url:
        async with opened(url) as engine:
            with worker(url) as process:
                await _settled(engine_tasks=1)
                rest = memory(process)
                before = cpu(process)
                await asyncio.sleep(seconds)
                share = (cpu(process) - before) / seconds
                await enqueue(NOOP, tasks)
                await wait_completed(engine, NOOP, tasks)
                after = memory(process)
    return [
        Figure("idle worker, CPU of one core", 100 * share, "%", 1, "<=", f"over {seconds:g} s"),
        Figure("worker memory at rest (RSS)", rest, "MB", 80, "<="),
        Figure(f"worker memory after {tasks:,} tasks (RSS)", after, "MB", 80, "<="),
    ]


async def recovery(kind: str, tasks: int) -> list[Figure]:
    """A worker with default settings is killed; how long its tasks wait for the next one."""
    with store(kind) as url:
        async with opened(url) as engine:
            with worker(url) as process:
                handles = [await workload.hang.enqueue() for _ in range(tasks)]
                await wait_count(engine, HANG, State.RUNNING, tasks)
                killed = time.monotonic_ns()
                process.kill()
            with worker(url):
                begun = [await handle.result(timeout=120) for handle in handles]
            await recount(engine, [handle.id for handle in handles])
    return [
        Figure(
            "kill -9 to next attempt, default settings",
            max(at - killed for at in begun) / 1e9,
            "s",
            60,
            "<=",
            f"slowest of {tasks}, lease 30 s, another worker started at once",
        )
    ]
