"""Rules about sessions, waiting, migration and time: docs/engine.md, sections 8 and 10."""

import asyncio
from datetime import timedelta

from tidemill.engine import QueueDefinition
from tidemill.errors import EngineRefused
from tidemill.outcome import Completed
from tidemill.task import State
from tidemill.testing.lab import NO_TIME, Lab

PATIENCE = timedelta(seconds=30)


async def a_session_sees_and_changes_the_same_store(lab: Lab) -> None:
    """`session`."""
    other = lab.beside()
    try:
        await other.engine.configure([QueueDefinition("a", 5)])
        task_id = await lab.add(queue="a")
        claim = await other.take(task_id)
        assert await lab.state(task_id) is State.RUNNING
        assert await lab.claimed() == []
        assert await lab.settle(claim, Completed()) is State.COMPLETED
        assert await other.state(task_id) is State.COMPLETED
        assert await other.feed() == await lab.feed()
        assert await other.engine.stats() == await lab.engine.stats()
        assert other.engine.info == lab.engine.info
    finally:
        await other.engine.close()


async def a_session_works_in_another_thread_with_its_own_loop(lab: Lab) -> None:
    """`session`: for another thread or event loop."""
    task_id = await lab.add()
    other = lab.beside()

    def elsewhere() -> list[str]:
        async def work() -> list[str]:
            taken = await other.claimed()
            await other.engine.close()
            return taken

        return asyncio.run(work())

    assert await asyncio.to_thread(elsewhere) == [task_id]
    assert await lab.state(task_id) is State.RUNNING


async def closing_a_session_leaves_the_others_open(lab: Lab) -> None:
    """`session` and `close`: closed on its own; closing twice is closing once."""
    session = lab.engine.session()
    await session.close()
    await session.close()
    assert await lab.state(await lab.add()) is State.PENDING


async def migrating_again_changes_nothing(lab: Lab) -> None:
    """`migrate`: safe to repeat and to race."""
    task_id = await lab.add()
    other = lab.engine.session()
    await asyncio.gather(lab.engine.migrate(), other.migrate(), lab.engine.migrate())
    await other.close()
    assert await lab.found() == [task_id]


async def time_never_steps_back(lab: Lab) -> None:
    """Section 10: within one store, whatever the machine's clock does."""
    claim = await lab.start()
    started = lab.now()
    lab.clock.set_back(timedelta(hours=1))
    assert (await lab.engine.stats()).at == started
    later = await lab.task(await lab.add(delay=timedelta(minutes=1)))
    assert (later.enqueued_at, later.run_at) == (started, started + timedelta(minutes=1))
    other = lab.beside()
    assert (await other.engine.stats()).at == started
    await other.engine.close()
    assert await lab.settle(claim, Completed()) is State.COMPLETED
    assert (await lab.task(claim.ref.task_id)).finished_at == started
    lab.clock.advance(timedelta(hours=1, seconds=1))
    assert (await lab.engine.stats()).at == started + timedelta(seconds=1)


async def waiting_ends_when_there_is_something_to_claim(lab: Lab) -> None:
    """Section 8: only the fact ends this wait before its patience."""
    waiter = asyncio.create_task(lab.engine.wait(None, PATIENCE))
    await asyncio.sleep(0)
    await lab.add()
    await asyncio.wait_for(waiter, PATIENCE.total_seconds() / 2)


async def waiting_does_not_miss_what_another_session_enqueues(lab: Lab) -> None:
    """Section 8: a wake-up reaches every session of the process."""
    session = lab.engine.session()
    waiter = asyncio.create_task(session.wait(("a",), PATIENCE))
    await asyncio.sleep(0)
    await lab.add(queue="a")
    await asyncio.wait_for(waiter, PATIENCE.total_seconds() / 2)
    await session.close()


async def waiting_for_nothing_ends_after_its_time(lab: Lab) -> None:
    """Section 8: after `timeout`."""
    await lab.engine.wait(None, timedelta(milliseconds=1))
    await lab.engine.wait(("none",), NO_TIME)


async def one_engine_serves_calls_made_at_the_same_time(lab: Lab) -> None:
    """The seam: verbs of one session may run beside each other."""
    tasks = [lab.new() for _ in range(40)]
    await asyncio.gather(*(lab.enqueue(task) for task in tasks))
    taken = await asyncio.gather(*(lab.claimed(1) for _ in range(50)))
    assert sorted(task_id for ids in taken for task_id in ids) == [task.id for task in tasks]


async def an_engine_without_transactions_says_so(lab: Lab) -> None:
    """`transaction`: raises `EngineRefused` where `info.transactional` is False."""
    if lab.engine.info.transactional:
        return
    try:
        lab.engine.transaction()
    except EngineRefused:
        return
    raise AssertionError("transaction() was answered, but info.transactional is False")
