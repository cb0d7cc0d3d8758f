"""Tasks that each write one line durably: handled in batches, and one by one."""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from arena import BATCH, store
from figures import Figure

from tidemill import TaskCompleted, TaskFunction, Tidemill
from tidemill.worker import Worker

SIZE = 500


class Visit(msgspec.Struct):
    """One line."""

    path: str


async def batches(kind: str, tasks: int, rounds: int) -> list[Figure]:
    """Tasks per second of one worker either way; each call ends when the disk has its lines."""
    tasks -= tasks % SIZE  # so that no rest waits for its time to be over
    figures = []
    rates: dict[str, list[float]] = {"in batches of 500": [], "one by one": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for way, declare in (("in batches of 500", _together), ("one by one", _singly)):
                rates[way].append(await _rate(kind, tasks, declare, Path(folder) / "lines"))
    for way, measured in rates.items():
        name = f"lines written durably, {way}"
        figures.append(Figure(name, median(measured), "tasks/s", detail=f"n={tasks:,}"))
    ratio = median(rates["in batches of 500"]) / median(rates["one by one"])
    return [*figures, Figure("batches against one by one", ratio, "×")]


Declare = Callable[[Tidemill, int], TaskFunction[..., Any]]


def _together(app: Tidemill, lines: int) -> TaskFunction[..., Any]:
    @app.batch(Visit, size=SIZE, within=1)
    async def record(visits: list[Visit]) -> None:
        _write(lines, "".join(f"{visit.path}\n" for visit in visits))

    return record


def _singly(app: Tidemill, lines: int) -> TaskFunction[..., Any]:
    @app.task
    async def record(path: str) -> None:
        _write(lines, f"{path}\n")

    return record


def _write(lines: int, text: str) -> None:
    os.write(lines, text.encode())
    os.fdatasync(lines)


async def _rate(kind: str, tasks: int, declare: Declare, file: Path) -> float:
    lines = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with store(kind) as url:
            app = Tidemill(url)
            record, all_completed = declare(app, lines), _completed(app, tasks)
            for start in range(0, tasks, BATCH):
                some = range(start, min(start + BATCH, tasks))
                await record.enqueue_many({"path": f"/{number}"} for number in some)
            began = time.perf_counter()
            worker = Worker(app)
            working = asyncio.create_task(worker.run())
            await all_completed.wait()
            took = time.perf_counter() - began
            worker.drain()
            await working
            await app.close()
    finally:
        os.close(lines)
    return tasks / took


def _completed(app: Tidemill, tasks: int) -> asyncio.Event:
    """Set when so many tasks have been settled as completed."""
    all_completed, left = asyncio.Event(), itertools.count(tasks - 1, -1)

    @app.on(TaskCompleted)
    def count(_: TaskCompleted) -> None:
        if next(left) == 0:
            all_completed.set()

    return all_completed
