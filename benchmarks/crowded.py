"""A worker on stores that are full of other tasks, compared with one on an empty store.

The others wait in another queue (`elsewhere`), wait in the same queue at the lowest priority
(`lower`), are delayed, or are finished. With `lower` a worker is never idle, so that latency there
is compared with a store that has a tenth as many.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from statistics import median, quantiles

import workload
from arena import calm, count, fill, opened, recount, store, wait_completed, worker
from figures import Figure
from throughput import Drained, drain, listed
from workload import BALLAST, STAMP

from tidemill import Engine, State
from tidemill.codec import Codec
from tidemill.engines import open_engine
from tidemill.ids import IdMaker
from tidemill.task import NewTask

IDLE = ("elsewhere", "delayed", "finished")
BUSY = "lower"
FEW = 20_000
QUEUE = ("-Q", "default")
WARM_UP = 20


async def crowded(kind: str, tasks: int, rounds: int, ballast: int, samples: int) -> list[Figure]:
    """Throughput and latency beside so many other tasks, each compared with next to none."""
    with ExitStack() as stack:
        urls = {name: stack.enter_context(store(kind)) for name in (BUSY, *IDLE)}
        for name, url in urls.items():
            await _fill(url, name, ballast)
        figures = await _throughput(kind, urls, tasks, rounds, ballast)
        busy = {BUSY: urls.pop(BUSY), "few": stack.enter_context(store(kind))}
        await _fill(busy["few"], BUSY, max(FEW, ballast // 10))
        urls["empty"] = stack.enter_context(store(kind))
        waits = await _waits(urls, samples)
        base = waits.pop("empty")
        for name, found in waits.items():
            figures.append(_slower(f"{ballast:,} {name} to an empty store", found, base))
        found, base = await _overtaking(busy, samples // 2, rounds)
        return [*figures, _slower(f"{ballast:,} lower to a tenth of them", found, base)]


async def _fill(url: str, kind: str, tasks: int) -> None:
    """Fill a store, and bring its index up to date."""
    async with opened(url) as engine:
        await fill(engine, kind, tasks)
        await calm(engine)


async def _throughput(
    kind: str, urls: Mapping[str, str], tasks: int, rounds: int, ballast: int
) -> list[Figure]:
    """A worker by turns on the full stores and on a new one each time."""
    empty: list[float] = []
    found: dict[str, list[Drained]] = {name: [] for name in urls}
    for _ in range(rounds):
        with store(kind) as url:
            empty.append((await drain(url, tasks, *QUEUE)).rate)
        for name, url in urls.items():
            found[name].append(await drain(url, tasks, *QUEUE))
    figures = []
    for name, drained in found.items():
        rates = [each.rate for each in drained]
        ratio = median(rate / base for rate, base in zip(rates, empty, strict=True))
        figures.append(
            Figure(
                f"throughput with {ballast:,} {name} to an empty store",
                100 * ratio,
                "%",
                80,
                detail=f"{listed(rates)} to {listed(empty)} tasks/s",
            )
        )
    most = max(each.memory for drained in found.values() for each in drained)
    return [*figures, Figure("worker memory on these stores (RSS)", most, "MB", 80, "<=")]


def _slower(beside: str, waits: list[float], base: list[float]) -> Figure:
    """How the p99 of latencies compares with that of others."""
    one, other = (quantiles(each, n=100, method="inclusive")[98] for each in (waits, base))
    detail = f"{one:.2f} to {other:.2f} ms, n={len(waits)} each, by turns"
    return Figure(f"p99 latency with {beside}", 100 * one / other, "%", 120, "<=", detail)


async def _overtaking(
    urls: Mapping[str, str], samples: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Latencies on stores whose worker is busy with tasks of a lower priority, by turns."""
    waits: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(rounds):
        for name, url in urls.items():
            waits[name] += (await _waits({name: url}, samples // rounds))[name]
    for name, url in urls.items():
        async with opened(url) as engine:
            if not await count(engine, BALLAST, State.PENDING):
                raise SystemExit(f"the store with {name} ran out of tasks of a lower priority")
    full, few = waits.values()
    return full, few


async def _waits(urls: Mapping[str, str], samples: int) -> dict[str, list[float]]:
    """Milliseconds from before an enqueue to its start in a worker of each store, by turns."""
    rng, ids = random.Random(0), IdMaker()
    sent: dict[str, dict[str, int]] = {name: {} for name in urls}
    async with AsyncExitStack() as stack:
        engines: dict[str, Engine] = {}
        for name, url in urls.items():
            stack.enter_context(worker(url, *QUEUE))
            engines[name] = open_engine(url)
            stack.push_async_callback(engines[name].close)
            await engines[name].migrate()
        done = {name: await count(each, STAMP, State.COMPLETED) for name, each in engines.items()}
        for engine in engines.values():
            await engine.enqueue([_stamp(each) for each in ids.make_many(WARM_UP)])
        for name, engine in engines.items():
            await wait_completed(engine, STAMP, done[name] + WARM_UP)
        for _ in range(samples):
            for name, engine in engines.items():
                await asyncio.sleep(rng.uniform(0.01, 0.05))
                task, at = _stamp(ids.make()), time.monotonic_ns()
                await engine.enqueue([task])
                sent[name][task.id] = at
        waits = {}
        for name, engine in engines.items():
            await wait_completed(engine, STAMP, done[name] + WARM_UP + samples)
            tasks = await recount(engine, list(sent[name]))
            waits[name] = [
                (workload.app.decode_result(task) - sent[name][task.id]) / 1e6 for task in tasks
            ]
    return waits


def _stamp(task_id: str) -> NewTask:
    return NewTask(id=task_id, task_type=STAMP, payload=Codec().encode({}))
