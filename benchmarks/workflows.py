"""A chord of many tasks, and the same tasks without one."""

import time
from contextlib import AsyncExitStack
from statistics import median

import workload
from arena import PATIENCE, enqueue, opened, store, wait_completed, worker
from figures import Figure
from workload import NOOP

WARM_UP = 200


async def workflows(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """From before the enqueue until all has ended, by turns; a worker is there already."""
    plain, chord, accepted = [], [], []
    for _ in range(rounds):
        plain.append(await _plain(kind, tasks))
        enqueued, ended = await _chord(kind, tasks)
        accepted.append(enqueued)
        chord.append(ended)
    ratio = median(one / other for one, other in zip(chord, plain, strict=True))
    return [
        Figure(
            f"{tasks:,} plain tasks, until all have ended", median(plain), "s", detail=_each(plain)
        ),
        Figure(
            f"a chord of {tasks:,} with its join, until it has ended",
            median(chord),
            "s",
            detail=_each(chord),
        ),
        Figure(
            f"a chord of {tasks:,}, until it is enqueued",
            median(accepted),
            "s",
            detail=_each(accepted),
        ),
        Figure(
            "time of the chord to that of plain tasks",
            100 * ratio,
            "%",
            detail=f"medians of {rounds} by turns",
        ),
    ]


def _each(seconds: list[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in seconds)


async def _plain(kind: str, tasks: int) -> float:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(store(kind))
        engine = await stack.enter_async_context(opened(url))
        stack.enter_context(worker(url))
        await enqueue(NOOP, WARM_UP)
        await wait_completed(engine, NOOP, WARM_UP)
        began = time.perf_counter()
        await enqueue(NOOP, tasks)
        await wait_completed(engine, NOOP, WARM_UP + tasks)
        return time.perf_counter() - began


async def _chord(kind: str, tasks: int) -> tuple[float, float]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(store(kind))
        engine = await stack.enter_async_context(opened(url))
        stack.enter_context(worker(url))
        await enqueue(NOOP, WARM_UP)
        await wait_completed(engine, NOOP, WARM_UP)
        began = time.perf_counter()
        calls = [workload.noop.call() for _ in range(tasks)]
        chord = workload.app.chord(calls, workload.gather.partial())
        handle = await chord.enqueue()
        enqueued = time.perf_counter() - began
        if (found := await handle.result(PATIENCE)) != tasks:
            raise SystemExit(f"the join was given {found} results of {tasks}")
        return enqueued, time.perf_counter() - began
