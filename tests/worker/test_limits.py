"""What a worker process and its children may use before they are replaced."""

import asyncio
import mmap
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tests.worker import hungry
from tests.worker.facts import Facts, final, working
from tidemill import ConfigError, MemoryGrowing, Tidemill
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.sqlite import SqliteEngine
from tidemill.node.supervisor import decode_settings, encode_settings
from tidemill.settings import WorkerSettings
from tidemill.task import State
from tidemill.worker import memory
from tidemill.worker.memory import LOOKS, MIB, Look, growing

ROOT = Path(__file__).parents[2]
SUPERVISED = (
    "import sys; from tidemill.node.supervisor import *;"
    "sys.exit(run_worker(sys.argv[1], decode_settings(sys.argv[2]), processes=1))"
)


def looks(*, step: float, tasks: int = 10) -> list[Look]:
    """Looks over two minutes at memory that grows by so many MiB each time."""
    return [
        Look(2.0 * number, int((100 + step * number) * MIB), tasks * number)
        for number in range(LOOKS)
    ]


def test_steady_growth_over_many_tasks_is_a_leak() -> None:
    assert growing(looks(step=0.5))


def test_memory_that_is_full_of_caches_now_is_no_leak() -> None:
    warm = looks(step=0)
    assert not growing(warm)
    jumped = [*warm[:30], *(Look(look.at, 2 * look.used, look.tasks) for look in warm[30:])]
    assert not growing(jumped)
    up_and_down = [
        Look(look.at, look.used + (number % 2) * 50 * MIB, look.tasks)
        for number, look in enumerate(looks(step=0.5))
    ]
    assert not growing(up_and_down)


def test_growth_without_tasks_or_of_a_little_is_no_leak() -> None:
    assert not growing(looks(step=0.5, tasks=1))
    assert not growing(looks(step=0.1))
    assert not growing(looks(step=0.5)[: LOOKS - 1])


async def test_a_leak_is_told_before_the_limit_is_reached(
    app: Tidemill, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "CHECK", 0.05)
    monkeypatch.setattr(memory, "GROWN", 0.0)  # how large this process is depends on other tests
    leaked: list[mmap.mmap] = []

    @app.task
    async def leak() -> None:
        # Pages of their own: a heap that once was larger would give memory that it still has.
        leaked.append(mmap.mmap(-1, MIB // 4))
        leaked[-1].write(b"x" * (MIB // 4))
        await asyncio.sleep(0.003)

    await leak.enqueue_many([{}] * 4_000)
    limit = psutil.Process().memory_info().rss // MIB + 2_000
    async with working(app, concurrency=1, max_memory_mib=limit) as worker:
        event = await facts.first(MemoryGrowing)
        assert not worker.draining
    assert event.worker == worker.name
    assert event.limit_mib == limit
    assert event.tasks >= 100
    assert 16 <= event.grown_mib <= event.used_mib < limit


async def test_a_worker_that_reaches_its_memory_limit_is_replaced_and_loses_no_task(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tasks.db"
    engine = SqliteEngine(file)
    await engine.migrate()
    hungry.app.use_engine(engine)
    settings = WorkerSettings(concurrency=2, max_memory_mib=250)
    words = ["-c", SUPERVISED, "tests.worker.hungry:app", encode_settings(settings)]
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, env=os.environ | {"TIDEMILL_URL": f"sqlite:///{file}"}
    )
    try:
        handles = await hungry.keep.enqueue_many([{"mib": 15}] * 40)
        tasks = [await final(engine, handle.id) for handle in handles]
        pids = [await handle.result(1) for handle in handles]
        supervisor.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(supervisor.wait(), 30) == 0
    finally:
        if supervisor.returncode is None:
            supervisor.kill()
            await supervisor.wait()
        await hungry.app.close()
        await engine.close()
    assert {task.state for task in tasks} == {State.COMPLETED}
    assert {task.attempt for task in tasks} == {1}
    assert len(set(pids)) >= 2


@pytest.mark.parametrize(("most", "children"), [(None, 1), (2, 3), (1, 6)])
async def test_a_child_process_is_replaced_after_so_many_tasks(
    engine: MemoryEngine, most: int | None, children: int
) -> None:
    hungry.app.use_engine(engine)
    pids = set()
    async with working(hungry.app, children=1, child_max_tasks=most):
        for _ in range(6):
            pids.add(await (await hungry.where.enqueue()).result(20))
    assert len(pids) == children


def test_a_child_that_may_run_no_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="child_max_tasks 0 must be above 0"):
        WorkerSettings(child_max_tasks=0)


def test_limits_and_auto_reach_the_processes_of_a_supervisor() -> None:
    settings = WorkerSettings(concurrency="auto", child_max_tasks=5, grace=timedelta(seconds=1))
    assert decode_settings(encode_settings(settings)) == settings
