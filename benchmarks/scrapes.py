"""Scrapes of a worker while it works: each must parse, and the last counts what was enqueued."""

import asyncio
import socket
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx
from arena import PATIENCE, enqueue, memory, opened, store, worker
from figures import Figure, percentiles
from prometheus_client.parser import text_string_to_metric_families
from workload import PARCEL

COMPLETED: Final = "tidemill_tasks_completed_total"
PAUSE: Final = 0.05
"""Seconds between two scrapes; Prometheus usually asks each 15."""


class Scrape(NamedTuple):
    """How many milliseconds it took, its bytes and series, and the completed tasks it tells of."""

    took: float
    size: int
    series: int
    completed: float


async def scrapes(kind: str, tasks: int) -> list[Figure]:
    """A worker runs tasks, no two with the same payload, and is scraped all the time."""
    port = _free_port()
    with store(kind) as url:
        async with opened(url), httpx.AsyncClient() as client:
            with worker(url, "--metrics-port", str(port)) as process:
                await enqueue(PARCEL, 1, payload=_parcel)
                first = (await _until(client, port, 1))[-1]
                enqueuing = asyncio.ensure_future(enqueue(PARCEL, tasks, payload=_parcel))
                found = await _until(client, port, tasks + 1)
                await enqueuing
                last, used = await _scraped(client, port), memory(process)
    counted = [each.completed for each in (*found, last)]
    if counted != sorted(counted) or last.completed != tasks + 1:
        raise SystemExit(f"{tasks + 1:,} tasks were completed, the counter went {counted}")
    return [
        *percentiles("scrape of a busy worker", [each.took for each in found], "ms"),
        Figure("series after one task", first.series, "series", detail=f"{first.size:,} bytes"),
        Figure(
            f"series after {tasks:,} more, no two alike",
            last.series,
            "series",
            2 * first.series,
            "<=",
            f"{last.size:,} bytes; the counter went from 1 to {last.completed:,.0f}",
        ),
        Figure("worker memory then (RSS)", used, "MB", 80, "<=", f"{len(found)} scrapes"),
    ]


def _parcel(number: int) -> Mapping[str, object]:
    return {"user_id": number, "address": f"{number:07}@example.org"}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


async def _until(client: httpx.AsyncClient, port: int, completed: int) -> list[Scrape]:
    """Scrape again and again, until so many tasks are counted."""
    found: list[Scrape] = []
    end = time.monotonic() + PATIENCE
    while not found or found[-1].completed < completed:
        if time.monotonic() > end:
            raise SystemExit(f"{completed:,} tasks, and after {PATIENCE:g} s {found[-1:]}")
        try:
            found.append(await _scraped(client, port))
        except httpx.ConnectError:  # it is just starting
            continue
        finally:
            await asyncio.sleep(PAUSE)
    return found


async def _scraped(client: httpx.AsyncClient, port: int) -> Scrape:
    began = time.perf_counter()
    answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    took = 1_000 * (time.perf_counter() - began)
    families = list(text_string_to_metric_families(answer.raise_for_status().text))
    samples = [sample for family in families for sample in family.samples]
    completed = sum(each.value for each in samples if each.name == COMPLETED)
    return Scrape(took, len(answer.content), len(samples), completed)
