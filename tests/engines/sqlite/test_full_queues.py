"""A queue that is full refuses only the calls that are too much, and wakes nobody for nothing."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tidemill.engine import ClaimRequest, QueueDefinition, TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.errors import QueueFull
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement
from tidemill.rates import Rate
from tidemill.task import Claim
from tidemill.testing import new_task, numbered_id

LOOK_EVERY = "tidemill.engines.sqlite.engine._LOOK_EVERY"
LONG = timedelta(minutes=5)


async def _claim(engine: SqliteEngine, limit: int = 1) -> list[Claim]:
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="w",
        queues=None,
        task_types=frozenset({"work"}),
        limit=limit,
    )
    return await engine.claim(request)


async def _found(engine: SqliteEngine) -> set[str]:
    return {task.id for task in (await engine.find(TaskQuery())).tasks}


async def test_a_call_beyond_the_capacity_takes_no_other_with_it(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.configure([QueueDefinition("default", capacity=3)])
    sizes = (2, 5, 1)
    batches = [[new_task() for _ in range(size)] for size in sizes]
    async with engine.transaction():  # nobody else is served until it ends
        calls = [asyncio.create_task(engine.enqueue(batch)) for batch in batches]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, QueueFull) for answer in answers] == [False, True, False]
    assert await _found(engine) == {task.id for n in (0, 2) for task in batches[n]}
    await engine.close()


async def test_a_transaction_goes_on_after_a_queue_was_full(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.configure([QueueDefinition("default", capacity=1)])
    async with engine.transaction() as tx:
        with pytest.raises(QueueFull):
            await engine.enqueue([new_task(), new_task()], tx=tx)
        await engine.enqueue([new_task(numbered_id(1))], tx=tx)
    assert await _found(engine) == {numbered_id(1)}
    await engine.close()


async def test_an_end_in_another_process_wakes_who_waits_at_a_full_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK_EVERY, 600.0)
    here, there = SqliteEngine(tmp_path / "a.db"), SqliteEngine(tmp_path / "a.db")
    await here.configure([QueueDefinition("default", concurrency=1)])
    await here.enqueue([new_task() for _ in range(2)])
    [claim] = await _claim(here)
    waiting = asyncio.create_task(there.wait(None, LONG))
    await there.find(TaskQuery())  # answered behind the first look
    await here.enqueue([new_task()])
    await here.extend([], LONG)
    await there.find(TaskQuery())
    assert not waiting.done()
    await here.settle([Settlement(claim.ref, Completed())])
    await asyncio.wait_for(waiting, 60)
    await here.close()
    await there.close()


async def test_a_raised_concurrency_wakes_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK_EVERY, 600.0)
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.configure([QueueDefinition("default", concurrency=1)])
    await engine.enqueue([new_task() for _ in range(2)])
    await _claim(engine)
    waiting = asyncio.create_task(engine.wait(None, LONG))
    await engine.find(TaskQuery())
    await engine.configure([QueueDefinition("default", concurrency=2)])
    await asyncio.wait_for(waiting, 60)
    await engine.close()


async def test_a_wait_ends_when_the_rate_lets_one_start_though_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK_EVERY, 600.0)
    engine = SqliteEngine(tmp_path / "a.db")
    rate = Rate(count=20, per=timedelta(seconds=1), burst=1)
    await engine.configure([QueueDefinition("default", rate=rate)])
    await engine.enqueue([new_task() for _ in range(3)])
    for _ in range(3):
        await asyncio.wait_for(engine.wait(None, LONG), 60)
        assert len(await _claim(engine, 9)) == 1
    await engine.close()


async def test_a_task_that_becomes_pending_in_a_queue_with_an_empty_rate_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK_EVERY, 600.0)
    engine = SqliteEngine(tmp_path / "a.db")
    rate = Rate(count=20, per=timedelta(seconds=1), burst=1)
    await engine.configure([QueueDefinition("default", rate=rate)])
    await engine.enqueue([new_task()])
    await _claim(engine)
    waiting = asyncio.create_task(engine.wait(None, LONG))
    await engine.find(TaskQuery())
    await engine.enqueue([new_task()])
    await asyncio.wait_for(waiting, 60)
    assert len(await _claim(engine)) == 1
    await engine.close()
