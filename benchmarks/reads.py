"""Reads and small writes at a million tasks, one awaited call at a time."""

import random
import time
from collections.abc import Awaitable, Callable

import workload
from arena import fill, opened, store
from figures import Figure, percentiles

from tidemill import State, TaskQuery
from tidemill.engine import ClaimRequest, Engine, Extension
from tidemill.ids import IdMaker
from tidemill.task import DEFAULT_LEASE, Progress


async def reads(kind: str, ballast: int, samples: int) -> list[Figure]:
    """Look-ups, lists, counts and progress writes on a store of finished tasks."""
    with store(kind) as url:
        async with opened(url) as engine:
            await fill(engine, "finished", ballast)
            ids = await _some_ids(engine)
            rng = random.Random(0)
            done = frozenset({State.COMPLETED})

            async def by_id() -> object:
                return await engine.find(TaskQuery(ids=(rng.choice(ids),), details=True))

            async def first_page() -> object:
                return await engine.find(TaskQuery(limit=50))

            async def filtered() -> object:
                return await engine.find(TaskQuery(limit=50, states=done, tags=()))

            size = f"{ballast:,} tasks"
            figures = [
                *await _timed(f"task by id, {size}", by_id, samples, p99=10),
                *await _timed(f"stats(), {size}", engine.stats, samples, p99=100),
                *await _timed(f"find(), first page, {size}", first_page, samples, p99=100),
                *await _timed(f"find(completed), first page, {size}", filtered, samples, p99=100),
            ]
            return figures + await _progress(engine, size, samples)


async def _some_ids(engine: Engine) -> list[str]:
    """Ids of tasks from several pages."""
    ids: list[str] = []
    cursor = None
    for _ in range(10):
        page = await engine.find(TaskQuery(limit=200, before=cursor))
        ids += [task.id for task in page.tasks]
        cursor = page.cursor
    return ids


async def _progress(engine: Engine, size: str, samples: int) -> list[Figure]:
    handle = await workload.noop.enqueue()
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="reads",
        queues=None,
        task_types=frozenset({workload.NOOP}),
        limit=1,
    )
    (claim,) = await engine.claim(request)
    if claim.ref.task_id != handle.id:
        raise SystemExit("claimed another task than the one enqueued")
    percent = 0.0

    async def write() -> object:
        nonlocal percent
        percent += 100 / samples
        report = Extension(claim.ref, Progress(percent, "half of it"))
        return await engine.extend([report], DEFAULT_LEASE)

    return await _timed(f"progress write, {size}", write, samples, p99=5)


async def _timed(
    name: str, call: Callable[[], Awaitable[object]], samples: int, **budgets: float
) -> list[Figure]:
    """p50 and p99 of a call in milliseconds."""
    waits = []
    for _ in range(samples):
        began = time.perf_counter()
        await call()
        waits.append(1_000 * (time.perf_counter() - began))
    p50, _, p99, _ = percentiles(name, waits, "ms", **budgets)
    return [p50, p99]
