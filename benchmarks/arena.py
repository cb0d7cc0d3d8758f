"""Stores to measure on, and the processes that work on them."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import workload
from redis import Redis
from servers import ALLOCATOR, server

from tidemill import Engine, State, Task, TaskQuery
from tidemill.app import TaskFunction
from tidemill.engine import ClaimRequest
from tidemill.engines import open_engine
from tidemill.engines.redis import RedisEngine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement

HERE = Path(__file__).parent
BATCH = 500
PATIENCE = 300.0
KINDS = ("sqlite", "valkey", "redis")
EVERYSEC = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    # A full store would rewrite its file while it is measured, on one of the machine's two cores,
    # and an empty one would not.
    "auto-aof-rewrite-percentage": "0",
}


@contextmanager
def store(kind: str) -> Iterator[str]:
    """The URL of a new, empty store, which is gone afterwards.

    `sqlite` is a file; `valkey` and `redis` are servers of their own, which write their log of
    commands to the disk every second. Valkey gets jemalloc, where that is installed.
    """
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        match kind:
            case "sqlite":
                yield f"sqlite:///{folder}/tasks.db"
            case "valkey" | "redis":
                preload = ALLOCATOR if kind == "valkey" else ""
                with server(Path(folder), kind=kind, config=EVERYSEC, preload=preload) as started:
                    yield started.url
            case _:
                raise SystemExit(f"no engine {kind!r} to measure; known: {', '.join(KINDS)}")


def size(url: str) -> int:
    """The bytes that a store takes now: of its files, or of its server's memory."""
    path = url.removeprefix("sqlite:///")
    if path != url:
        return sum(file.stat().st_size for file in Path(path).parent.iterdir())
    with Redis.from_url(url) as client:
        used: int = client.info("memory")["used_memory"]
        return used


async def calm(engine: Engine) -> None:
    """Let the index of a server's engine take in what came before; a file has none to wait for."""
    if isinstance(engine, RedisEngine):
        while await engine.unindexed():
            await engine.promote(1)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Engine]:
    """An engine for this process; the workload's tasks are enqueued there too."""
    base = open_engine(url)
    workload.app.use_engine(base)
    try:
        yield await workload.app.engine()
    finally:
        await workload.app.close()
        workload.app.use_engine(None)


@contextmanager
def worker(
    url: str, *flags: str, module: str = "tidemill", **variables: str
) -> Iterator[psutil.Process]:
    """A worker in a process of its own, with default settings but these flags and variables."""
    with _running(url, module, "worker", *flags, **variables) as process:
        yield process


@contextmanager
def scheduler(url: str) -> Iterator[psutil.Process]:
    """A process that fires schedules, promotes, reclaims and prunes, and runs no tasks."""
    with _running(url, "tidemill", "scheduler") as process:
        yield process


@contextmanager
def _running(
    url: str, module: str, command: str, *flags: str, **variables: str
) -> Iterator[psutil.Process]:
    words = [sys.executable, "-m", module, command, "-A", "workload:app", *flags]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            words,
            cwd=HERE,
            env=os.environ | {"TIDEMILL_URL": url} | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield psutil.Process(process.pid)
            if process.poll() not in {None, -9}:
                log.seek(0)
                raise SystemExit(f"the {command} ended early: {log.read().decode()}")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that it started."""
    return [process, *process.children(recursive=True)]


def memory(process: psutil.Process) -> float:
    """Resident memory of a worker with all that it started, in MB (millions of bytes)."""
    return sum(each.memory_info().rss for each in family(process)) / 1e6


def cpu(process: psutil.Process) -> float:
    """Seconds of processor time that a worker took so far, with all that it started."""
    return sum(sum(each.cpu_times()[:2]) for each in family(process))


Payload = Callable[[int], Mapping[str, object]]
"""The arguments of the n-th task."""


def nothing(_: int) -> Mapping[str, object]:
    """No arguments."""
    return {}


async def enqueue(
    what: str | TaskFunction[..., Any], tasks: int, batch: int = BATCH, payload: Payload = nothing
) -> list[str]:
    """Enqueue so many tasks of a type, named or given with its options, in bulk; their ids."""
    face, made = workload.app.function(what) if isinstance(what, str) else what, []
    for start in range(0, tasks, batch):
        payloads = [payload(number) for number in range(start, min(start + batch, tasks))]
        made += [handle.id for handle in await face.enqueue_many(payloads)]
    return made


async def count(engine: Engine, name: str, state: State) -> int:
    """How many tasks of a type are in a state."""
    counts = (await engine.stats()).counts
    return sum(each.count for each in counts if (each.task_type, each.state) == (name, state))


async def wait_count(engine: Engine, name: str, state: State, tasks: int) -> None:
    """Wait until at least so many tasks of a type are in a state."""
    end = time.monotonic() + PATIENCE
    while (done := await count(engine, name, state)) < tasks:
        if time.monotonic() > end:
            raise SystemExit(f"{done} of {tasks} {name} {state} after {PATIENCE:g} s")
        await asyncio.sleep(0.05)


async def wait_completed(engine: Engine, name: str, tasks: int) -> None:
    """Wait until at least so many tasks of a type are completed."""
    await wait_count(engine, name, State.COMPLETED, tasks)


async def recount(engine: Engine, ids: Sequence[str]) -> list[Task]:
    """The records of tasks, all of which must be completed."""
    found: list[Task] = []
    for start in range(0, len(ids), BATCH):
        page = await engine.find(TaskQuery(ids=tuple(ids[start : start + BATCH]), limit=BATCH))
        found += page.tasks
    if len(found) != len(ids) or any(task.state is not State.COMPLETED for task in found):
        raise SystemExit(f"{len(ids)} enqueued, not all of the {len(found)} found are completed")
    return found


def rate(tasks: Sequence[Task]) -> float:
    """Tasks per second between the first start and the last end, as the engine recorded them."""
    first = min(_instant(task.started_at) for task in tasks)
    last = max(_instant(task.finished_at) for task in tasks)
    return len(tasks) / (last - first).total_seconds()


def _instant(at: datetime | None) -> datetime:
    if at is None:
        raise SystemExit("a completed task without instants")
    return at


async def fill(engine: Engine, kind: str, tasks: int) -> None:
    """Put so many tasks into a store: `lower`, `elsewhere`, `delayed`, `finished` or `spent`.

    That is: of a lower priority, in another queue, due tomorrow, completed, or completed and to be
    pruned at once.
    """
    face = workload.spent if kind == "spent" else workload.ballast
    if kind == "delayed":
        face = face.options(delay=timedelta(days=1))
    elif kind == "elsewhere":
        face = face.options(queue="elsewhere")
    for start in range(0, tasks, 2 * BATCH):
        await face.enqueue_many([{}] * min(2 * BATCH, tasks - start))
        if kind in {"finished", "spent"}:
            await _finish(engine, face.name)


async def _finish(engine: Engine, name: str) -> None:
    """Complete what is pending of a type."""
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="fill",
        queues=None,
        task_types=frozenset({name}),
        limit=2 * BATCH,
    )
    claims = await engine.claim(request)
    await engine.settle([Settlement(claim.ref, Completed(b"null")) for claim in claims])
