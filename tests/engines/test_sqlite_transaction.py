"""The application's own SQL and the engine's verbs in one SQLite transaction."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from tidemill.engine import ClaimRequest, TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.errors import EngineRefused, EngineUnavailable
from tidemill.outcome import Completed, Settlement
from tidemill.task import State
from tidemill.testing import new_task, numbered_id

PAUSE = "tidemill.engines.sqlite.transaction.LONGEST_PAUSE"


async def _engine(folder: Path) -> SqliteEngine:
    engine = SqliteEngine(folder / "a.db")
    async with engine.transaction() as tx:
        await tx.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT UNIQUE)")
    return engine


async def _rows(engine: SqliteEngine, sql: str = "SELECT text FROM orders") -> list[Any]:
    async with engine.transaction() as tx:
        return await tx.execute(sql)


async def test_sql_enqueue_and_settle_commit_together(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)
    await engine.enqueue([new_task(numbered_id(1))])
    (claim,) = await engine.claim(_request())
    async with engine.transaction() as tx:
        await tx.execute("INSERT INTO orders (text) VALUES (?)", ("one",))
        await tx.execute("INSERT INTO orders (text) VALUES (:text)", {"text": "two"})
        await engine.enqueue([new_task(numbered_id(2))], tx=tx)
        assert await tx.execute("SELECT count(*) FROM tidemill_task") == [(2,)]
        settled = await engine.settle([Settlement(claim.ref, Completed(b"1"))], tx=tx)
        assert settled == [State.COMPLETED]
        assert len((await engine.find(TaskQuery())).tasks) == 1
    assert await _rows(engine) == [("one",), ("two",)]
    assert [task.state for task in (await engine.find(TaskQuery())).tasks] == [
        State.PENDING,
        State.COMPLETED,
    ]
    await engine.close()


async def test_an_error_in_the_block_undoes_all_of_it(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)

    async def work() -> None:
        async with engine.transaction() as tx:
            await tx.execute("INSERT INTO orders (text) VALUES ('one')")
            await engine.enqueue([new_task(queue="new", task_type="other")], tx=tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await _rows(engine) == []
    assert (await engine.stats()).counts == ()
    await engine.enqueue([new_task(queue="new", task_type="other")])
    assert [count.queue for count in (await engine.stats()).counts] == ["new"]
    await engine.close()


async def test_sql_that_fails_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)
    async with engine.transaction() as tx:
        await tx.execute("INSERT INTO orders (text) VALUES ('one')")
        with pytest.raises(apsw.ConstraintError):
            await tx.execute("INSERT INTO orders (text) VALUES ('one')")
    assert await _rows(engine) == [("one",)]
    await engine.close()


async def test_a_verb_that_fails_half_way_ends_the_transaction(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)

    async def work() -> None:
        async with engine.transaction() as tx:
            with pytest.raises(ValueError, match="not the id of a task"):
                await engine.enqueue([new_task(), new_task("no id")], tx=tx)

    with pytest.raises(EngineRefused, match="rolled back"):
        await work()
    assert (await engine.find(TaskQuery())).tasks == ()
    await engine.close()


async def test_a_statement_that_ends_the_transaction_itself_is_refused(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)
    with pytest.raises(EngineRefused, match="leave COMMIT and ROLLBACK"):
        async with engine.transaction() as tx:
            await tx.execute("COMMIT")
    assert len(await engine.enqueue([new_task()])) == 1
    await engine.close()


async def test_a_transaction_that_is_over_refuses(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)
    async with engine.transaction() as tx:
        pass
    with pytest.raises(EngineRefused, match="over"):
        await tx.execute("SELECT 1")
    await engine.close()


async def test_an_idle_transaction_is_given_back_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = await _engine(tmp_path)
    monkeypatch.setattr(PAUSE, 0.05)

    async def work() -> None:
        async with engine.transaction() as tx:
            await tx.execute("INSERT INTO orders (text) VALUES ('one')")
            await engine.enqueue([new_task()])  # without tx: waits for the transaction's end
            await tx.execute("INSERT INTO orders (text) VALUES ('two')")

    with pytest.raises(EngineUnavailable, match="did nothing"):
        await work()
    assert await _rows(engine) == []
    assert len((await engine.find(TaskQuery())).tasks) == 1
    await engine.close()


async def test_tasks_enqueued_in_a_transaction_wake_a_waiter_after_the_commit(
    tmp_path: Path,
) -> None:
    engine = await _engine(tmp_path)
    waiting = asyncio.create_task(engine.wait(None, timedelta(seconds=60)))
    async with engine.transaction() as tx:
        await engine.enqueue([new_task()], tx=tx)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 30)
    assert len(await engine.claim(_request())) == 1
    await engine.close()


async def test_a_connection_of_the_callers_own_carries_an_enqueue(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)
    on = apsw.Connection(str(tmp_path / "a.db"))
    on.execute("BEGIN IMMEDIATE")
    on.execute("INSERT INTO orders (text) VALUES ('one')")
    await engine.enqueue([new_task(numbered_id(1))], tx=on)
    assert (await engine.find(TaskQuery())).tasks == ()
    on.execute("COMMIT")
    on.close()
    assert await _rows(engine) == [("one",)]
    assert [claim.ref.task_id for claim in await engine.claim(_request())] == [numbered_id(1)]
    await engine.close()


async def test_a_connection_that_cannot_carry_an_enqueue_is_refused(tmp_path: Path) -> None:
    engine = await _engine(tmp_path)
    own = apsw.Connection(str(tmp_path / "a.db"))
    with pytest.raises(EngineRefused, match="no transaction open"):
        await engine.enqueue([new_task()], tx=own)
    other = apsw.Connection(str(tmp_path / "other.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(EngineRefused, match="cannot span two files"):
        await engine.enqueue([new_task()], tx=other)
    with pytest.raises(EngineRefused, match="tx is a str"):
        await engine.enqueue([new_task()], tx="BEGIN")
    own.close()
    other.close()
    await engine.close()


def _request() -> ClaimRequest:
    return ClaimRequest(
        claim_id=numbered_id(99),
        worker="w",
        queues=None,
        task_types=frozenset({"work"}),
        limit=10,
    )
