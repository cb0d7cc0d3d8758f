"""Who hears of a commit: this process, others, and what becomes of sockets left behind."""

import asyncio
import os
import socket
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tidemill.engine import TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.wake import Bell, Ear, Letterbox, folder_of
from tidemill.testing import new_task

LOOK_EVERY = "tidemill.engines.sqlite.engine._LOOK_EVERY"
LONG = timedelta(minutes=5)
ANY = frozenset({"default"})


async def _two(path: Path) -> tuple[SqliteEngine, SqliteEngine]:
    """Two engines as in two processes: nothing shared but the file."""
    here, there = SqliteEngine(path), SqliteEngine(path)
    await here.migrate()
    await there.migrate()
    return here, there


async def test_an_enqueue_wakes_another_connection_by_a_datagram(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK_EVERY, 600.0)
    here, there = await _two(tmp_path / "a.db")
    waiting = asyncio.create_task(there.wait(None, LONG))
    await asyncio.sleep(0)  # its socket is there as soon as it has begun to wait
    await here.enqueue([new_task()])
    await asyncio.wait_for(waiting, 60)
    await here.close()
    await there.close()


async def test_every_transition_wakes_who_waits_for_the_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOOK_EVERY, 600.0)
    here, there = await _two(tmp_path / "a.db")
    reading = asyncio.create_task(there.feed("", 10, LONG))
    await there.find(TaskQuery())  # answered behind the first look into the feed
    await here.enqueue([new_task(delay=LONG)])
    page = await asyncio.wait_for(reading, 60)
    assert [entry.cause for entry in page.entries] == ["enqueued"]
    await here.close()
    await there.close()


async def test_without_sockets_a_waiter_looks_for_itself(tmp_path: Path) -> None:
    in_the_way = folder_of(tmp_path / "a.db")
    in_the_way.write_text("no folder")
    here, there = await _two(tmp_path / "a.db")
    waiting = asyncio.create_task(there.wait(None, LONG))
    await there.find(TaskQuery())  # answered behind the first look
    await here.enqueue([new_task()])
    await asyncio.wait_for(waiting, 60)
    await here.close()
    await there.close()
    in_the_way.unlink()


async def test_only_queues_that_are_waited_for_wake(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "a.db")
    mail, every = Ear("work", frozenset({"mail"})), Ear("work", None)
    with bell.listening(mail), bell.listening(every):
        bell.ring(frozenset({"other"}), told=True)
        assert await every.heard(60)
        assert not await mail.heard(0)
        bell.ring(frozenset({"mail", "other"}), told=True)
        assert await mail.heard(60)


async def test_more_queue_names_than_a_datagram_holds_wake_everybody(tmp_path: Path) -> None:
    here, there = Bell(tmp_path / "a.db"), Bell(tmp_path / "a.db")
    box = Letterbox(there)
    box.open("work")
    ear = Ear("work", frozenset({"nowhere"}))
    with there.listening(ear):
        here.ring(frozenset(f"{n}-{'x' * 100}" for n in range(50)), told=True)
        assert await ear.heard(60)
    box.close()
    here.close()


async def test_a_socket_that_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "a.db")
    bell.folder.mkdir()
    left = bell.folder / "1-dead.work"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(left))
    dead.close()
    bell.ring(ANY, told=True)
    assert not left.exists()
    bell.close()


async def test_a_reader_that_is_far_behind_does_not_stop_the_writer(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "a.db")
    bell.folder.mkdir()
    slow = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    slow.bind(str(bell.folder / "1-slow.work"))
    for _ in range(2_000):
        bell.ring(ANY, told=True)
    assert slow.recv(100) == b"default"
    slow.close()
    bell.close()


async def test_a_closed_session_leaves_no_socket(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.wait(None, timedelta(0))
    folder = folder_of(tmp_path / "a.db")
    assert [place.suffix for place in folder.iterdir()] == [".work"]
    await engine.close()
    assert not folder.exists()


def test_a_path_too_long_for_a_socket_has_its_folder_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90) / "a.db"
    folder = folder_of(deep)
    assert folder == folder_of(deep)
    assert len(os.fsencode(folder)) <= 80
    assert folder != folder_of(tmp_path / ("y" * 90) / "a.db")


async def test_a_waiter_hears_nothing_of_a_paused_queue(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    await engine.pause("default", paused=True)
    await engine.enqueue([new_task()])
    waiting = asyncio.create_task(engine.wait(None, LONG))
    await engine.find(TaskQuery())
    assert not waiting.done()
    await engine.pause("default", paused=False)
    await asyncio.wait_for(waiting, 60)
    await engine.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_a_forked_child_opens_the_file_for_itself(tmp_path: Path) -> None:
    program = tmp_path / "fork.py"
    program.write_text(
        "import asyncio, os, sys\n"
        "from tidemill.engines.sqlite import SqliteEngine\n"
        "from tidemill.testing import new_task\n"
        "engine = SqliteEngine(sys.argv[1])\n"
        "asyncio.run(engine.enqueue([new_task()]))\n"
        "child = os.fork()\n"
        "asyncio.run(engine.enqueue([new_task() for _ in range(2)]))\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "asyncio.run(engine.close())\n"
    )
    path = tmp_path / "a.db"
    run = await asyncio.create_subprocess_exec(sys.executable, program, path)
    assert await asyncio.wait_for(run.wait(), 60) == 0
    engine = SqliteEngine(path)
    assert sum(count.count for count in (await engine.stats()).counts) == 5
    await engine.close()
