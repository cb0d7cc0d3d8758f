"""Real worker processes on SQLite: signals, kills, recycling."""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tests.worker import sample
from tests.worker.facts import begun, final, record, until
from tidemill.engine import Engine
from tidemill.engines.sqlite import SqliteEngine
from tidemill.node.supervisor import encode_settings
from tidemill.settings import WorkerSettings
from tidemill.task import State

ROOT = Path(__file__).parents[2]
APP = "tests.worker.sample:app"
QUICK = WorkerSettings(
    lease=timedelta(seconds=2), heartbeat=timedelta(seconds=0.5), grace=timedelta(seconds=0.2)
)
SUPERVISED = (
    "import sys; from tidemill.node.supervisor import *;"
    "sys.exit(run_worker(sys.argv[1], decode_settings(sys.argv[2]), processes=int(sys.argv[3])))"
)

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
def start(file: Path) -> Iterator[Start]:
    """Starts worker processes, with `processes` under a supervisor; none outlives the test."""
    started = []

    def start(
        settings: WorkerSettings = QUICK, *, app: str = APP, processes: int = 0
    ) -> subprocess.Popen[bytes]:
        how = ["-c", SUPERVISED] if processes else ["-m", "tidemill.node"]
        process = subprocess.Popen(
            [sys.executable, *how, app, encode_settings(settings), str(processes)],
            cwd=ROOT,
            env=os.environ | {"TIDEMILL_URL": f"sqlite:///{file}"},
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        family = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()


class Opened:
    """The engine of the tests' own process, and the sample application on it."""

    def __init__(self, file: Path) -> None:
        self.engine: Engine = SqliteEngine(file)

    async def __aenter__(self) -> Engine:
        sample.app.use_engine(self.engine)
        await self.engine.migrate()
        return self.engine

    async def __aexit__(self, *_: object) -> None:
        await sample.app.close()
        await self.engine.close()


async def ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code, once there is one."""
    return await asyncio.wait_for(asyncio.to_thread(process.wait), 30)


async def test_the_tasks_of_a_killed_worker_complete_alone_in_child_processes(
    file: Path, start: Start
) -> None:
    async with Opened(file) as engine:
        handles = await sample.neighbour.enqueue_many([{"seconds": 0.3}] * 5)
        first = start()
        for handle in handles:
            await begun(engine, handle.id)
        first.kill()
        second = start()
        tasks = [await final(engine, handle.id) for handle in handles]
        ran_in = {await handle.result(1) for handle in handles}
    assert {task.state for task in tasks} == {State.COMPLETED}
    assert second.pid not in ran_in
    for task in tasks:
        if len(task.attempts) == 2:
            assert task.attempts[0].outcome == "lost"


async def test_a_task_that_kills_its_worker_ends_as_poison_and_its_neighbours_complete(
    file: Path, start: Start
) -> None:
    async with Opened(file) as engine:
        beside = await sample.neighbour.enqueue_many([{"seconds": 1.0}] * 3)
        poison = await sample.poison.enqueue()
        start(processes=1)
        start(processes=2)
        task = await final(engine, poison.id)
        neighbours = [await final(engine, handle.id) for handle in beside]
    assert (task.state, task.crashes) == (State.FAILED, 3)
    assert task.error is not None
    assert task.error.type == "Poison"
    assert {each.state for each in neighbours} == {State.COMPLETED}


async def test_a_frozen_worker_that_wakes_up_changes_nothing(file: Path, start: Start) -> None:
    async with Opened(file) as engine:
        handle = await sample.neighbour.enqueue(1.0)
        zombie = start()
        await begun(engine, handle.id)
        zombie.send_signal(signal.SIGSTOP)
        other = start()
        done = await final(engine, handle.id)
        other.kill()
        zombie.send_signal(signal.SIGCONT)
        # It is at work again once it has completed something else.
        assert await (await sample.double.enqueue(4)).result(20) == 8
        task = await record(engine, handle.id)
    assert task == done
    assert [attempt.outcome for attempt in task.attempts] == ["lost", "completed"]


async def test_sigterm_drains_and_a_second_one_cuts_the_grace_time_short(
    file: Path, start: Start
) -> None:
    patient = WorkerSettings(grace=timedelta(hours=1))
    async with Opened(file) as engine:
        quick, slow = await sample.neighbour.enqueue(0.5), await sample.neighbour.enqueue(3600)
        worker = start(patient)
        await begun(engine, slow.id)
        await begun(engine, quick.id)
        worker.send_signal(signal.SIGTERM)
        assert (await final(engine, quick.id)).state is State.COMPLETED
        worker.send_signal(signal.SIGTERM)
        assert await ended(worker) == 0
        task = await record(engine, slow.id)
    assert (task.state, task.attempt) == (State.PENDING, 0)


async def test_the_children_of_a_killed_worker_end_with_it(file: Path, start: Start) -> None:
    async with Opened(file):
        worker = start()
        pid, _ = await (await sample.where.enqueue()).result(20)
        child = psutil.Process(pid)
        worker.kill()
        await asyncio.to_thread(child.wait, 20)


async def test_a_supervisor_replaces_workers_that_end_and_passes_sigterm_on(
    file: Path, start: Start
) -> None:
    async with Opened(file):
        supervisor = start(processes=2)
        first, _ = await (await sample.where.enqueue()).result(20)
        worker = psutil.Process(first).parent()
        assert worker is not None
        while worker.ppid() != supervisor.pid:
            worker = psutil.Process(worker.ppid())
        worker.kill()
        worker.wait(20)
        other = next(
            each for each in psutil.Process(supervisor.pid).children() if each.pid != worker.pid
        )
        other.terminate()
        other.wait(20)
        assert await (await sample.double.enqueue(4)).result(20) == 8
        supervisor.send_signal(signal.SIGTERM)
        assert await ended(supervisor) == 0
    assert not psutil.pid_exists(other.pid)


async def test_a_supervisor_recycles_a_worker_after_its_tasks(file: Path, start: Start) -> None:
    settings = WorkerSettings(max_tasks=3, grace=timedelta(seconds=1))
    async with Opened(file) as engine:
        handles = await sample.neighbour.enqueue_many([{"seconds": 0}] * 8)
        supervisor = start(settings, processes=1)
        tasks = [await final(engine, handle.id) for handle in handles]
        pids = [await handle.result(1) for handle in handles]
        supervisor.send_signal(signal.SIGINT)
        assert await ended(supervisor) == 0
    assert {task.state for task in tasks} == {State.COMPLETED}
    assert len(set(pids)) == 3
    assert max(pids.count(pid) for pid in pids) == 3


@pytest.mark.parametrize("processes", [0, 2])
async def test_an_application_that_is_not_there_is_told_in_one_line(
    start: Start, processes: int
) -> None:
    process = start(app="tests.worker.sample:nothing", processes=processes)
    assert await ended(process) == 2
    _, told = process.communicate()
    assert told.decode().splitlines()[0] == (
        "tidemill: 'tests.worker.sample:nothing' does not name a Tidemill application, "
        "as in shop.tasks:app"
    )


async def test_a_task_in_a_thread_that_nothing_ends_is_left_to_its_lease(
    file: Path, start: Start
) -> None:
    async with Opened(file) as engine:
        handle = await sample.stuck.options(timeout=0.2).enqueue()
        worker = start()
        assert await ended(worker) == 75
        assert (await record(engine, handle.id)).state is State.RUNNING
        start()
        # Alone in a child process it can be killed, and its timeout is settled as one.
        task = await final(engine, handle.id)
    assert task.error is not None
    assert task.error.type == "HardTimeout"


async def test_a_task_that_holds_the_interpreter_lock_is_taken_over_and_killed(
    file: Path, start: Start
) -> None:
    async with Opened(file) as engine:
        first = start()
        assert await (await sample.double.enqueue(4)).result(20) == 8
        handle = await sample.holds_the_interpreter_lock.enqueue()
        await until(engine, handle.id, State.RUNNING)
        start()
        # Its own worker can neither time it out nor extend its lease; a child can be killed.
        task = await final(engine, handle.id)
        first.kill()
    assert task.error is not None
    assert task.error.type == "HardTimeout"
    assert [attempt.outcome for attempt in task.attempts] == ["lost", "failed"]


async def test_an_idle_worker_starts_a_task_within_milliseconds(file: Path, start: Start) -> None:
    async with Opened(file) as engine:
        start()
        delays = []
        for number in range(100):
            handle = await sample.double.enqueue(number)
            task = await final(engine, handle.id)
            assert task.started_at is not None
            delays.append((task.started_at - task.enqueued_at).total_seconds())
    # The budget is 2 ms on a quiet machine; a poll instead of a hint would take 500 ms.
    assert statistics.median(delays) < 0.02
