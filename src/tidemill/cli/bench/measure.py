"""The three measurements. Each counts in the engine afterwards what it claims to have measured."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tidemill.cli.bench.app import app, noop, stamp
from tidemill.cli.bench.figures import spread
from tidemill.cli.bench.place import FINALS, all_final, count, engine_at, tasks_of
from tidemill.cli.bench.process import start, worker
from tidemill.cli.progress import Advance
from tidemill.cli.records import plain
from tidemill.engine import Engine
from tidemill.errors import WorkerError
from tidemill.task import State, Task

_PAUSES = (0.005, 0.030)
"""Seconds between two enqueues of the latency measurement, drawn evenly: the worker is idle."""

_WARM_UP = 20

Show = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows the progress of something (a key of the texts) towards a total."""


class _Share(msgspec.Struct, frozen=True):
    """What one of several enqueueing processes answers."""

    tasks: int
    started_at: datetime
    ended_at: datetime


async def enqueue_alone(url: str, tasks: int, batch: int, show: Show) -> dict[str, Any]:
    """Enqueue from this process, `batch` tasks with each awaited call.

    `started_at` and `ended_at` are this machine's clock, to be compared with other processes.
    """
    async with _bench_engine(url) as engine:
        with show("bench.enqueueing", tasks) as advance:
            started_at = datetime.now(UTC)
            begun = time.perf_counter()
            ids = await _filled(tasks, batch, advance)
            took = time.perf_counter() - begun
        found = len(await tasks_of(engine, ids))
    if found != tasks:
        raise WorkerError(f"of {tasks:,} tasks enqueued, {found:,} are there")
    return {
        "tasks": found,
        "batch": batch,
        "processes": 1,
        "seconds": round(took, 6),
        "tasks_per_s": round(found / took, 1),
        "started_at": plain(started_at),
        "ended_at": plain(started_at + timedelta(seconds=took)),
    }


async def enqueue_together(
    url: str, tasks: int, batch: int, processes: int, show: Show
) -> dict[str, Any]:
    """Enqueue from several processes: all tasks over the time from the first to the last call."""
    async with engine_at(url):
        processes = min(processes, tasks)
        shares = [tasks // processes + (n < tasks % processes) for n in range(processes)]
        arguments = [
            [*"bench enqueue --keep -o jsonl".split(), f"--tasks={share}", f"--batch={batch}"]
            for share in shares
        ]
        programs = [await start(each, url) for each in arguments]
        answers = []
        with show("bench.enqueueing", tasks) as advance:
            for program in programs:
                answers.append(msgspec.json.decode(await program.answer(), type=_Share))
                advance(sum(answer.tasks for answer in answers))
    first = min(each.started_at for each in answers)
    took = (max(each.ended_at for each in answers) - first).total_seconds()
    total = sum(each.tasks for each in answers)
    return {
        "tasks": total,
        "batch": batch,
        "processes": processes,
        "seconds": round(took, 6),
        "tasks_per_s": round(total / took, 1),
    }


async def drain(url: str, tasks: int, batch: int, processes: int, show: Show) -> dict[str, Any]:
    """Enqueue no-op tasks, then let workers of their own run them all.

    The time is from the first claim to the last completion by the engine's clock.
    """
    async with _bench_engine(url) as engine:
        before = await count(engine, noop.name, *FINALS)
        with show("bench.enqueueing", tasks) as advance:
            ids = await _filled(tasks, batch, advance)
        async with worker(url, processes) as program:
            with show("bench.draining", tasks) as advance:
                await all_final(engine, noop.name, before, tasks, program, advance)
        if await count(engine, noop.name, *FINALS) - before != tasks:
            raise WorkerError(f"more tasks ended than the {tasks:,} that were enqueued")
        records = await _all_completed(engine, ids)
    started = min(_instant(task.started_at) for task in records)
    took = (max(_instant(task.finished_at) for task in records) - started).total_seconds()
    return {
        "tasks": len(records),
        "processes": processes,
        "seconds": round(took, 6),
        "tasks_per_s": round(len(records) / took, 1),
    }


async def latency(url: str, tasks: int, show: Show) -> dict[str, Any]:
    """Enqueue tasks one at a time at random pauses for an idle worker in its own process.

    From before the call of enqueue to the first line of the task's body, both read from this
    machine's clock. `engine_…` is from enqueued to claimed by the engine's clock.
    """
    async with _bench_engine(url) as engine:
        before = await count(engine, stamp.name, *FINALS)
        async with worker(url, 1) as program:
            await stamp.enqueue_many({} for _ in range(_WARM_UP))
            await all_final(engine, stamp.name, before, _WARM_UP, program, _silent)
            submitted: dict[str, int] = {}
            with show("bench.submitting", tasks) as advance:
                for _ in range(tasks):
                    await asyncio.sleep(random.uniform(*_PAUSES))  # noqa: S311  # a load, no secret
                    at = time.time_ns()
                    handle = await stamp.enqueue()
                    submitted[handle.id] = at
                    advance(len(submitted))
            await all_final(engine, stamp.name, before, _WARM_UP + tasks, program, _silent)
        records = await _all_completed(engine, list(submitted))
        bodies = [(app.decode_result(task) - submitted[task.id]) / 1e6 for task in records]
        claims = [
            (_instant(task.started_at) - task.enqueued_at) / timedelta(milliseconds=1)
            for task in records
        ]
    return {"tasks": len(records), **spread(bodies), **spread(claims, "engine_")}


async def _filled(tasks: int, batch: int, advance: Advance) -> list[str]:
    """Enqueue no-op tasks; answers their ids."""
    ids: list[str] = []
    while len(ids) < tasks:
        size = min(batch, tasks - len(ids))
        ids += [handle.id for handle in await noop.enqueue_many({} for _ in range(size))]
        advance(len(ids))
    return ids


@asynccontextmanager
async def _bench_engine(url: str) -> AsyncIterator[Engine]:
    """The engine of a measurement, which the benchmark's application works on meanwhile."""
    async with engine_at(url) as engine:
        app.use_engine(engine)
        try:
            yield engine
        finally:
            await app.close()
            app.use_engine(None)


async def _all_completed(engine: Engine, ids: Sequence[str]) -> list[Task]:
    """The records of tasks that must each have completed in one attempt; raises otherwise."""
    records = await tasks_of(engine, ids)
    good = [task for task in records if task.state is State.COMPLETED and task.attempt == 1]
    if len(good) != len(ids):
        raise WorkerError(
            f"of {len(ids):,} tasks enqueued, {len(records):,} are there and {len(good):,} "
            "completed in one attempt"
        )
    return good


def _instant(at: datetime | None) -> datetime:
    assert at is not None  # the task is completed
    return at


def _silent(_done: int, _total: int | None = None, /) -> None:
    """Show nothing."""
