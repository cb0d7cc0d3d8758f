"""Automatic concurrency in a real worker: slots, queues, and three workloads that have a best."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.worker.facts import PATIENCE, Facts, final, working
from tidemill import ConcurrencyChanged, ConfigError, Tidemill
from tidemill.engines.memory import MemoryEngine
from tidemill.settings import WorkerSettings
from tidemill.task import State
from tidemill.worker.adaptive import controllers
from tidemill.worker.slots import Slots


async def test_slots_that_are_taken_stay_taken_when_there_are_fewer() -> None:
    slots = Slots(10)
    slots.take(8)
    slots.resize(5)
    assert (slots.size, slots.free) == (5, -3)
    waiting = asyncio.ensure_future(slots.available())
    slots.give(3)
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.give()
    await waiting
    assert slots.free == 1


async def test_more_slots_wake_who_waits_for_one() -> None:
    slots = Slots(1)
    slots.take()
    waiting = asyncio.ensure_future(slots.available())
    await asyncio.sleep(0)
    slots.resize(3)
    await waiting
    slots.give()
    assert slots.free == slots.size == 3


def test_no_other_word_than_auto_is_a_concurrency() -> None:
    with pytest.raises(ConfigError, match="write a whole number or 'auto'"):
        WorkerSettings(concurrency="much")  # type: ignore[arg-type]  # what is refused


async def test_a_queue_that_is_stuck_does_not_hold_another_one_back(
    app: Tidemill, engine: MemoryEngine
) -> None:
    stuck, running = asyncio.Event(), Counter[str]()

    @app.task(queue="slow")
    async def hang() -> None:
        running["hang"] += 1
        await stuck.wait()

    @app.task(queue="quick")
    async def pass_by() -> None:
        running["pass_by"] += 1

    await hang.enqueue_many([{}] * 40)
    async with working(app, concurrency="auto"):
        handles = await pass_by.enqueue_many([{}] * 200)
        for handle in handles:
            assert (await final(engine, handle.id)).state is State.COMPLETED
        assert running == {"hang": 10, "pass_by": 200}
        stuck.set()


async def test_a_queue_that_nobody_declared_is_served_beside_a_stuck_one(
    app: Tidemill, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controllers, "NAMES", 0.1)
    stuck, full, running = asyncio.Event(), asyncio.Event(), 0

    @app.task
    async def work(*, wait: bool) -> None:
        nonlocal running
        running += 1
        if running == 10:
            full.set()
        if wait:
            await stuck.wait()

    await work.enqueue_many([{"wait": True}] * 40)
    async with working(app, concurrency="auto"):
        await full.wait()
        handle = await work.options(queue="later").enqueue(wait=False)
        assert (await final(engine, handle.id)).state is State.COMPLETED
        stuck.set()


@asynccontextmanager
async def service(capacity: int, seconds: float, *, breaks: bool = False) -> AsyncIterator[int]:
    """The port of a service that works on so many requests at once; see `plants`."""
    places, inside = asyncio.Semaphore(capacity), 0
    writers = list[asyncio.StreamWriter]()
    attending = list[asyncio.Task[None] | None]()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal inside
        writers.append(writer)
        attending.append(asyncio.current_task())
        while await reader.readline():
            inside += 1
            beyond = max(0.0, inside / capacity - 1) if breaks else 0.0
            if breaks:
                await asyncio.sleep(seconds * (1 + 3 * beyond))
            else:
                async with places:
                    await asyncio.sleep(seconds)
            inside -= 1
            writer.write(b"no\n" if beyond > 0.2 else b"yes\n")

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(each for each in attending if each), return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def asking(app: Tidemill, port: int, tasks: int) -> AsyncIterator[None]:
    """An automatic worker on tasks that each ask a service once."""
    idle = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
    writers = list[asyncio.StreamWriter]()

    @app.task(max_attempts=1)
    async def ask() -> None:
        if not idle:
            idle.append(await asyncio.open_connection(port=port))
            writers.append(idle[-1][1])
        reader, writer = idle.pop()
        writer.write(b"?\n")
        answer = await reader.readline()
        idle.append((reader, writer))
        if answer != b"yes\n":
            raise ConnectionError("refused")

    await ask.enqueue_many([{}] * tasks)
    async with working(app, concurrency="auto"):
        yield
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_tasks_that_wait_for_a_service_get_as_many_slots_as_it_has_places(
    app: Tidemill, facts: Facts
) -> None:
    async with service(40, 0.2) as port, asking(app, port, 5_000):
        await facts.first(ConcurrencyChanged, lambda event: event.after >= 40)
        # As many as that bring nothing: it goes back.
        await facts.first(ConcurrencyChanged, lambda event: event.reason.startswith("more gave"))
        async with asyncio.timeout(PATIENCE):
            told = (await app.workers())[0].worker
            while told.concurrency == 10:  # no event tells that a record was written
                await asyncio.sleep(0.1)
                told = (await app.workers())[0].worker
        assert told.adaptive
    first = facts.of(ConcurrencyChanged)[0]
    assert (first.pool, first.queue, first.before, first.after) == ("loop", "default", 10, 20)


async def test_a_service_that_breaks_under_load_is_asked_by_fewer(
    app: Tidemill, facts: Facts
) -> None:
    async with service(15, 0.05, breaks=True) as port, asking(app, port, 10_000):
        braked = await facts.first(ConcurrencyChanged, lambda event: "fail" in event.reason)
        await facts.first(ConcurrencyChanged, lambda event: event.after <= 15)
    assert braked.after < braked.before


async def test_tasks_that_block_the_loop_get_few_slots(app: Tidemill, facts: Facts) -> None:
    @app.task
    async def block() -> None:
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            pass

    await block.enqueue_many([{}] * 2_000)
    async with working(app, concurrency="auto"):
        await facts.first(ConcurrencyChanged, lambda event: event.after <= 5)


async def test_ordinary_functions_get_threads_by_the_same_rule(app: Tidemill, facts: Facts) -> None:
    at_once, most = 0, 0

    @app.task
    def wait() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.1)
        at_once -= 1

    await wait.enqueue_many([{}] * 5_000)
    async with working(app, concurrency="auto"):
        event = await facts.first(ConcurrencyChanged, lambda event: event.after >= 40)
        await facts.first(ConcurrencyChanged, lambda _: most >= 30)
    assert event.pool == "thread"
    assert most <= 64
