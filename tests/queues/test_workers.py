"""Queues while workers run: new ones, changed ones, and what workers say of themselves."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any, cast

import pytest

from tests.queues.conftest import Open, Place
from tests.worker.facts import PATIENCE, Facts, working
from tidemill import (
    Node,
    Rate,
    State,
    SystemClock,
    Tidemill,
    WorkerInfo,
    WorkerSettings,
    WorkerStarted,
)
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.task import Claim, ClaimRef
from tidemill.testing import Fault, FlakyEngine, scripted
from tidemill.worker import Worker, heartbeat
from tidemill.worker.presence import held_tasks
from tidemill.worker.run import Run
from tidemill.worker.slots import Slots
from tidemill.worker_record import SlotUse, WorkerState


@asynccontextmanager
async def node(app: Tidemill, **settings: Any) -> AsyncIterator[Node]:
    """A whole node that is ready to claim; it drains in the end."""
    facts = Facts(app)
    made = Node(app, WorkerSettings(**settings))
    running = asyncio.ensure_future(made.run())
    try:
        await facts.first(WorkerStarted, lambda event: event.worker == made.name)
        yield made
    finally:
        made.drain("the test is over", grace=timedelta(0))
        await running


class Gate:
    """Tasks that stay until they are let go; how many were in it at once."""

    def __init__(self, app: Tidemill, queue: str) -> None:
        self.inside = self.most = 0
        self._changed = asyncio.Condition()
        self._leave = 0

        @app.task(name="stay", queue=queue)
        async def stay() -> None:
            async with self._changed:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self._changed.notify_all()
                await self._changed.wait_for(lambda: self._leave > 0)
                self._leave -= 1
                self.inside -= 1

        self.task = stay

    async def until(self, inside: int) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.inside == inside)

    async def let_go(self, count: int) -> None:
        async with self._changed:
            self._leave += count
            self._changed.notify_all()


async def test_a_queue_made_while_workers_run_is_served_at_once(real_place: Open) -> None:
    async with real_place() as here:
        app = here.app()

        @app.task(name="add")
        async def add(a: int, b: int) -> int:
            return a + b

        async with node(app):
            await app.queues.create("new", concurrency=1)
            handle = await add.options(queue="new").enqueue(2, 3)
            assert await handle.result(PATIENCE) == 5


async def test_a_changed_concurrency_holds_from_the_next_claim(real_place: Open) -> None:
    async with real_place() as here:
        app = here.app()
        gate = Gate(app, "narrow")
        app.queue("narrow", concurrency=1)
        async with node(app):
            handles = await gate.task.enqueue_many([{}] * 6)
            await gate.until(inside=1)
            await gate.let_go(1)
            await handles[0].result(PATIENCE)
            await gate.until(inside=1)
            assert gate.most == 1
            await app.queues.change("narrow", concurrency=3)
            await gate.let_go(1)  # its end lets the others start
            await gate.until(inside=3)
            assert gate.most == 3
            await gate.let_go(4)
            await asyncio.gather(*(handle.result(PATIENCE) for handle in handles))
            assert gate.most == 3


async def test_what_is_declared_is_in_force_before_the_first_claim(real_place: Open) -> None:
    async with real_place() as here:
        app = here.app()
        ran = asyncio.Semaphore(0)

        @app.task(name="quick", queue="slow")
        async def quick() -> None:
            ran.release()

        app.queue("slow", rate=Rate(1, timedelta(hours=1), 2))
        handles = await quick.enqueue_many([{}] * 5)
        async with working(app):  # alone, without a scheduler that would do it too
            async with asyncio.timeout(PATIENCE):
                await ran.acquire()
                await ran.acquire()
            await app.queues.create("beacon")
            await (await quick.options(queue="beacon").enqueue()).result(PATIENCE)
            states = [await handle.state() for handle in handles]
            assert states.count(State.PENDING) == 3


async def only(app: Tidemill) -> WorkerInfo:
    [info] = await app.workers()
    return info


async def test_a_worker_says_what_it_is_while_it_lives(real_place: Open) -> None:
    async with real_place() as here:
        app = here.app()
        Gate(app, "q")
        async with node(app, queues=("q", "r"), concurrency=7, threads=3) as running:
            info = await only(app)
            record = info.worker
            assert info.live
            assert (record.name, record.queues, record.task_types) == (
                running.name,
                ("q", "r"),
                ("stay",),
            )
            assert (record.concurrency, record.threads, record.version) == (
                7,
                3,
                version("tidemill"),
            )
            assert (record.running, record.tasks, record.left_out) == (0, (), 0)
            assert (record.state, record.adaptive, record.lost_since) == ("running", False, None)
            assert (record.slots["loop"], record.slots["thread"]) == (SlotUse(7, 0), SlotUse(3, 0))
            assert record.memory is not None
            assert record.memory > 1_000_000
            assert record.started_at <= info.heard_at
        again = here.app()
        assert await again.workers() == [], "it ended in order"


async def test_it_says_so_again_with_how_many_tasks_it_holds(
    real_place: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "TELL_EVERY", timedelta(seconds=0.02))
    async with real_place() as here:
        app = here.app()
        gate = Gate(app, "q")
        async with node(app):
            first = await only(app)
            await gate.task.enqueue_many([{}] * 2)
            await gate.until(inside=2)
            async with asyncio.timeout(PATIENCE):
                while (info := await only(app)).worker.running != 2:  # noqa: ASYNC110  # written by another thread, which tells nobody
                    await asyncio.sleep(0)
            assert info.heard_at > first.heard_at
            record = info.worker
            assert record.started_at == first.worker.started_at
            assert record.slots["loop"].used == 2
            assert [(each.task_type, each.queue, each.attempt) for each in record.tasks] == [
                ("stay", "q", 1)
            ] * 2
            begun = [info.started_at(each) for each in record.tasks]
            assert all(at is not None and first.heard_at < at <= info.heard_at for at in begun)
            async with asyncio.timeout(PATIENCE):
                while (await only(app)).worker.loop_lag is None:  # noqa: ASYNC110  # the same
                    await asyncio.sleep(0)
            await gate.let_go(2)


async def test_a_worker_that_drains_says_so(real_place: Open) -> None:
    async with real_place() as here:
        app = here.app()
        gate = Gate(app, "q")
        worker = Worker(app)
        running = asyncio.ensure_future(worker.run())
        handle = await gate.task.enqueue()
        await gate.until(inside=1)
        worker.drain("a deploy")
        async with asyncio.timeout(PATIENCE):
            while (await only(app)).worker.state is not WorkerState.DRAINING:  # noqa: ASYNC110  # it tells nobody else
                await asyncio.sleep(0)
        await gate.let_go(1)
        await handle.result(PATIENCE)
        await running
        assert await here.app().workers() == []


async def test_a_record_names_a_hundred_tasks_that_run_and_a_hundred_reserved_ones() -> None:
    slots, now = Slots(500), time.perf_counter()
    runs = [_run(number, slots, now - number if number % 2 else None) for number in range(300)]
    told = held_tasks(runs)
    ages = [each.ran_for for each in told]
    assert [age is None for age in ages] == [False] * 100 + [True] * 100
    assert ages[:100] == sorted(ages[:100], key=lambda age: age or timedelta(), reverse=True)
    assert told[0].id == "task 299"
    few = held_tasks([_run(0, slots, None), _run(1, slots, now)])
    assert [each.ran_for is None for each in few] == [False, True]


def _run(number: int, slots: Slots, begun_at: float | None) -> Run:
    claim = Claim(
        ref=ClaimRef(f"task {number}", 1, "c", "q"),
        task_type="stay",
        queue="q",
        priority=5,
        payload=b"",
        attempt=1,
        attempt_limit=4,
        max_attempts=4,
    )
    run = Run(claim, cast("Any", None), cast("Any", None))
    if begun_at is not None:
        run.begun, run.started = True, begun_at
    return run


@pytest.mark.parametrize("fault", Fault)
async def test_a_worker_that_cannot_write_its_record_works_all_the_same(fault: Fault) -> None:
    here = Place(MemoryEngine(), SystemClock())
    flaky: Engine = FlakyEngine(here.engine, scripted(put=[fault] * 50))
    app = here.app(on=flaky)

    @app.task(name="add")
    async def add(a: int, b: int) -> int:
        return a + b

    async with node(app):
        assert await (await add.enqueue(1, 1)).result(PATIENCE) == 2
