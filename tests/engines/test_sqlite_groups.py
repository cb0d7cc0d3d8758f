"""The SQLite engine's writer: calls of many in one commit, and each one's fate its own."""

import asyncio
import gc
import os
import threading
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from tidemill.engine import ClaimRequest, Extension, Hold, TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect
from tidemill.errors import EngineRefused, EngineUnavailable
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Failed, Settlement
from tidemill.task import Retention, State, TaskError
from tidemill.testing import new_task, numbered_id

NOT_KEPT = Retention(completed=timedelta(0))


def _everything() -> ClaimRequest:
    return ClaimRequest(
        claim_id=IdMaker().make(),
        worker="w",
        queues=None,
        task_types=frozenset({"work"}),
        limit=100,
    )


def _feed_rows(path: Path) -> int:
    on = connect(path, "standard", write=False)
    rows = int(on.execute("SELECT count(*) FROM tidemill_feed").get)
    on.close()
    return rows


async def test_calls_that_wait_together_are_committed_together(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.migrate()
    async with engine.transaction():  # nobody else is served until it ends
        calls = [asyncio.create_task(engine.enqueue([new_task(numbered_id(n))])) for n in range(50)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*calls)
    assert [answer[0].task_id for answer in answers] == [numbered_id(n) for n in range(50)]
    assert _feed_rows(tmp_path / "a.db") == 1
    await engine.close()


async def test_a_call_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.migrate()
    async with engine.transaction():
        good = [asyncio.create_task(engine.enqueue([new_task(numbered_id(n))])) for n in (1, 2)]
        bad = asyncio.create_task(engine.enqueue([new_task(numbered_id(3)), new_task("no id")]))
        await asyncio.sleep(0)
    for call in good:
        assert (await call)[0].duplicate is False
    with pytest.raises(ValueError, match="'no id' is not the id of a task"):
        await bad
    found = await engine.find(TaskQuery())
    assert [task.id for task in found.tasks] == [numbered_id(2), numbered_id(1)]
    assert sum(count.count for count in (await engine.stats()).counts) == 2
    await engine.close()


async def test_a_call_given_up_before_it_began_does_nothing(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.migrate()
    async with engine.transaction():
        call = asyncio.create_task(engine.enqueue([new_task()]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    await engine.migrate()
    assert (await engine.find(TaskQuery())).tasks == ()
    await engine.close()


async def test_text_that_no_file_can_hold_does_not_stop_a_settlement(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.enqueue([new_task(numbered_id(1))])
    (claim,) = await engine.claim(_everything())
    error = TaskError("OSError", "no file 'caf\udce9.txt'", fingerprint="\udce9")
    assert await engine.settle([Settlement(claim.ref, Failed(error))]) == [State.FAILED]
    (task,) = (await engine.find(TaskQuery(error_contains="NO FILE 'caf"))).tasks
    assert task.error is not None
    assert task.error.message == "no file 'caf?.txt'"
    await engine.close()


async def test_a_large_payload_is_kept_apart_and_comes_back_whole(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    payload = os.urandom(3_000_000)
    await engine.enqueue([new_task(numbered_id(1), payload=payload, retention=NOT_KEPT)])
    (claim,) = await engine.claim(_everything())
    assert claim.payload == payload
    (task,) = (await engine.find(TaskQuery(details=True))).tasks
    assert task.payload == payload
    await engine.settle([Settlement(claim.ref, Completed(payload))])
    assert (await engine.find(TaskQuery())).tasks[0].result == payload
    assert await engine.prune(10) == 1
    on = connect(tmp_path / "a.db", "standard", write=False)
    assert on.execute("SELECT count(*) FROM tidemill_body").get == 0
    on.close()
    await engine.close()


async def test_a_call_waits_for_another_process_and_then_says_who_is_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemill.engines.sqlite.connection.LOCK_WAIT", 0.05)
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.migrate()
    other = apsw.Connection(str(tmp_path / "a.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(EngineUnavailable, match="locked"):
        await engine.enqueue([new_task()])
    other.execute("ROLLBACK")
    assert len(await engine.enqueue([new_task()])) == 1
    other.close()
    await engine.close()


async def test_a_session_in_another_thread_shares_the_writer(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.enqueue([new_task(task_id) for task_id in IdMaker().make_many(5)])
    claims = await engine.claim(_everything())
    session, held = engine.session(), []

    async def beat() -> None:
        extensions = [Extension(claim.ref) for claim in claims]
        held.extend(await session.extend(extensions, timedelta(minutes=1)))
        await session.close()

    thread = threading.Thread(target=lambda: asyncio.run(beat()))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert held == [Hold.HELD] * 5
    await engine.close()


async def test_a_closed_session_refuses_and_leaves_the_others_alone(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    session = engine.session()
    await session.migrate()
    await session.close()
    await session.close()
    with pytest.raises(EngineRefused, match="closed"):
        await session.enqueue([new_task()])
    assert len(await engine.enqueue([new_task()])) == 1
    await engine.close()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "tidemill-sqlite" in thread.name}


async def test_closing_the_last_session_lets_go_of_the_file(tmp_path: Path) -> None:
    before = _threads()
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.enqueue([new_task()])
    assert len(_threads() - before) > 0
    await engine.close()
    assert not _threads() - before
    assert {path.name for path in _listed(tmp_path)} == {"a.db"}


async def test_an_engine_that_is_dropped_lets_go_of_the_file_too(tmp_path: Path) -> None:
    before = _threads()
    engine: SqliteEngine | None = SqliteEngine(tmp_path / "a.db")
    assert engine is not None
    await engine.enqueue([new_task()])
    mine = _threads() - before
    engine = None
    gc.collect()
    for thread in mine:
        await asyncio.to_thread(thread.join)
    assert {path.name for path in _listed(tmp_path)} == {"a.db"}


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())
