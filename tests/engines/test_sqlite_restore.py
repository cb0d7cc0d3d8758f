"""Tasks that the SQLite engine takes in from elsewhere, beside those enqueued here."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tidemill.clock import VirtualClock
from tidemill.engine import ClaimRequest, TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect
from tidemill.engines.sqlite.search import search
from tidemill.task import State, Task
from tidemill.testing import new_task, numbered_id

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _task(number: int, minute: int, **fields: object) -> Task:
    at = START + minute * MINUTE
    task = Task(
        id=numbered_id(number),
        task_type="work",
        queue="default",
        state=State.COMPLETED,
        priority=5,
        attempt=1,
        attempt_limit=4,
        max_attempts=4,
        enqueued_at=at,
        run_at=at,
        started_at=at,
        finished_at=at,
        payload=b"{}",
    )
    return msgspec.structs.replace(task, **fields)


async def test_restored_tasks_are_found_by_the_time_they_were_enqueued(tmp_path: Path) -> None:
    clock = VirtualClock(START + 100 * MINUTE)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    for n in range(4):
        await engine.enqueue([new_task(numbered_id(100 + n))])
        clock.advance(MINUTE)
        await engine.restore([_task(10 * n + k, (50, 3, 103)[k] - n) for k in range(3)])
    everything = (await engine.find(TaskQuery())).tasks
    assert len(everything) == 16
    for first, until in ((0, 200), (2, 49), (3, 50), (48, 102), (100, 104), (102, 103)):
        since, end = START + first * MINUTE, START + until * MINUTE
        query = TaskQuery(enqueued_from=since, enqueued_until=end, limit=5)
        expected = [task.id for task in everything if since <= task.enqueued_at < end]
        found: list[str] = []
        while True:
            page = await engine.find(query)
            found += [task.id for task in page.tasks]
            if page.cursor is None:
                break
            query = msgspec.structs.replace(query, before=page.cursor)
        assert found == expected
    await engine.close()


async def test_a_time_with_few_restored_tasks_is_searched_by_their_index(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.restore([_task(n, n) for n in range(200)])
    await engine.close()
    on = connect(tmp_path / "a.db", "standard", write=False)
    chosen = search(on, TaskQuery(enqueued_from=START, enqueued_until=START + 2 * MINUTE, limit=1))
    on.close()
    assert chosen is not None
    assert "tidemill_task_restored" in chosen.sql


async def test_a_file_that_was_only_restored_goes_on_like_any_other(tmp_path: Path) -> None:
    for part in range(3):
        engine = SqliteEngine(tmp_path / "a.db")
        assert await engine.restore([_task(10 * part + n, n) for n in range(5)]) == [True] * 5
        await engine.close()
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.enqueue([new_task(numbered_id(99)), new_task(numbered_id(98))])
    on = connect(tmp_path / "a.db", "standard", write=False)
    assert on.execute("SELECT count(*) FROM tidemill_task WHERE seq > 0").get == 2
    on.close()
    assert len((await engine.find(TaskQuery())).tasks) == 17
    assert sum(count.count for count in (await engine.stats()).counts) == 17
    await engine.close()


async def test_a_large_payload_is_restored_whole(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    task = _task(1, 0, payload=os.urandom(200_000))
    await engine.restore([task])
    (found,) = (await engine.find(TaskQuery(details=True))).tasks
    assert found.payload == task.payload
    await engine.close()


async def test_a_task_that_must_run_alone_still_does(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.restore([_task(1, 0, state=State.PENDING, alone=True, finished_at=None)])
    request = ClaimRequest(
        claim_id=numbered_id(9),
        worker="w",
        queues=None,
        task_types=frozenset({"work"}),
        limit=5,
    )
    assert await engine.claim(request) == []
    again = msgspec.structs.replace(request, claim_id=numbered_id(8), alone=1)
    assert [claim.alone for claim in await engine.claim(again)] == [True]
    assert [count.state for count in (await engine.stats()).counts] == [State.RUNNING]
    await engine.close()


async def test_a_batch_with_a_task_that_cannot_be_restored_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    with pytest.raises(ValueError, match="without its payload: read it with details"):
        await engine.restore([_task(1, 0), _task(2, 0, payload=None)])
    assert (await engine.find(TaskQuery())).tasks == ()
    assert (await engine.stats()).counts == ()
    await engine.close()
