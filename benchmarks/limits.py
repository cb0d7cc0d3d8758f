"""What limits cost that are never reached, or hold back only who has much."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from statistics import median
from typing import Final

import workload
from arena import opened, store
from figures import Figure
from throughput import drain, listed

from tidemill.engine import QueueDefinition
from tidemill.rates import Rate
from tidemill.task import DEFAULT_QUEUE

KEYS: Final = 1_000
NEVER: Final = 1_000_000
OPEN: Final = QueueDefinition(
    DEFAULT_QUEUE,
    concurrency=NEVER,
    worker_concurrency=NEVER,
    rate=Rate(NEVER, timedelta(seconds=1), NEVER),
    capacity=10 * NEVER,
)

Way = Callable[[str, int], Awaitable[float]]


async def limits(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """A worker by turns on tasks with a key's limit, on a queue with every limit, and on plain."""
    ways: Mapping[str, Way] = {"plain": _plain, "keyed": _keyed, "open": _open}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with store(kind) as url:
                rates[name].append(await way(url, tasks))
    names = {
        "keyed": f"throughput of tasks of {KEYS:,} keys, 10 at once of each, to plain ones",
        "open": "throughput of a queue with concurrency, rate and capacity to a plain one",
    }
    plain = rates.pop("plain")
    figures = [Figure("throughput, plain", median(plain), "tasks/s", detail=listed(plain))]
    for name, found in rates.items():
        ratio = median(rate / base for rate, base in zip(found, plain, strict=True))
        detail = f"{listed(found)} to {listed(plain)} tasks/s"
        figures.append(Figure(names[name], 100 * ratio, "%", detail=detail))
    return figures


def _key(number: int) -> Mapping[str, object]:
    return {"key": number % KEYS}


async def _plain(url: str, tasks: int) -> float:
    return (await drain(url, tasks, face=workload.labelled, payload=_key)).rate


async def _keyed(url: str, tasks: int) -> float:
    return (await drain(url, tasks, face=workload.keyed, payload=_key)).rate


async def _open(url: str, tasks: int) -> float:
    async with opened(url) as engine:
        await engine.configure([OPEN])
    return await _plain(url, tasks)
