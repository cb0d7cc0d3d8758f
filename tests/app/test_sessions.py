"""When and where the engine is opened, and by which URL."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Recorder
from tidemill import ConfigError, EngineUnavailable, Settings, State, Tidemill
from tidemill.engine import Engine
from tidemill.engines.memory import MemoryEngine


async def work() -> None: ...


class Opened(MemoryEngine):
    """Counts its sessions, and cannot be migrated until it is `up`."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0
        self.closed = 0
        self.up = True

    def session(self) -> Engine:
        self.sessions += 1
        return super().session()

    async def migrate(self) -> None:
        await asyncio.sleep(0)
        if not self.up:
            raise EngineUnavailable("the disk is gone")

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def opened(app: Tidemill) -> Opened:
    engine = Opened()
    app.use_engine(engine)
    return engine


def test_declaring_opens_nothing(app: Tidemill, opened: Opened) -> None:
    app.task(work).options(priority=1).call()
    assert opened.sessions == 0


async def test_calls_at_once_open_one_session(app: Tidemill, opened: Opened) -> None:
    sending = app.task(work)
    await asyncio.gather(*(sending.enqueue() for _ in range(20)))
    await sending.enqueue()
    assert opened.sessions == 1


def test_each_event_loop_has_a_session_of_one_store(app: Tidemill, opened: Opened) -> None:
    sending = app.task(work)
    first = asyncio.run(sending.enqueue())
    handle = sending.delay()
    assert asyncio.run(_state(app, first.id)) is State.PENDING
    assert asyncio.run(_state(app, handle.id)) is State.PENDING
    assert opened.sessions == 4


def test_an_application_in_memory_is_one_store_for_all_loops() -> None:
    app = Tidemill("memory://")
    sending = app.task(work)
    handle = sending.delay()
    assert asyncio.run(_state(app, handle.id)) is State.PENDING
    app.run_blocking(app.close())
    assert handle.state() is State.PENDING


async def _state(app: Tidemill, task_id: str) -> State:
    return await app.handle(task_id).state()


async def test_an_opening_that_failed_is_tried_again_at_the_next_call(
    app: Tidemill, opened: Opened
) -> None:
    sending = app.task(work)
    opened.up = False
    answers = await asyncio.gather(*(sending.enqueue() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [EngineUnavailable] * 3
    with pytest.raises(EngineUnavailable, match="the disk is gone"):
        await sending.enqueue()
    assert opened.closed == 2
    opened.up = True
    await sending.enqueue()


async def test_a_url_that_names_no_engine_is_said_at_each_call() -> None:
    sending = Tidemill("amqp://host").task(work)
    for _ in range(2):
        with pytest.raises(ConfigError, match="'amqp://' names no engine"):
            await sending.enqueue()


async def test_who_gives_up_waiting_does_not_stop_the_opening(
    app: Tidemill, opened: Opened
) -> None:
    sending = app.task(work)
    impatient = asyncio.create_task(sending.enqueue())
    await asyncio.sleep(0)
    impatient.cancel()
    await sending.enqueue()
    assert opened.sessions == 1


async def test_close_closes_and_a_later_call_opens_again(app: Tidemill, opened: Opened) -> None:
    sending = app.task(work)
    await app.close()
    assert opened.closed == 0
    await sending.enqueue()
    await app.close()
    await app.close()
    assert opened.closed == 1
    await sending.enqueue()
    assert opened.sessions == 2


async def test_an_engine_that_is_there_is_used_until_it_is_taken_back(engine: Recorder) -> None:
    app = Tidemill("memory://")
    sending = app.task(work)
    await sending.enqueue()
    app.use_engine(engine)
    await sending.enqueue()
    assert len(engine.batches) == 1
    app.use_engine(None)
    await sending.enqueue()
    assert len(engine.batches) == 1


def test_the_environment_wins_over_code_and_an_empty_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEMILL_URL", "sqlite:///other.db")
    assert Tidemill("memory://").settings.url == "sqlite:///other.db"
    monkeypatch.setenv("TIDEMILL_URL", "")
    assert Tidemill("memory://").settings.url == "memory://"


def test_a_url_wins_over_settings_and_settings_over_the_default() -> None:
    settings = Settings(url="sqlite:///set.db")
    assert Tidemill(settings=settings).settings.url == "sqlite:///set.db"
    assert Tidemill("memory://", settings=settings).settings.url == "memory://"
    assert Tidemill().settings.url == "sqlite:///tidemill.db"


def test_a_forked_child_opens_its_own(app: Tidemill, opened: Opened, tmp_path: Path) -> None:
    sending = app.task(work)
    with asyncio.Runner() as runner:
        runner.run(sending.enqueue())
        child = os.fork()
        if child == 0:
            _in_child(app, tmp_path / "sessions", opened)
        os.waitpid(child, 0)
    assert (tmp_path / "sessions").read_text() == "2 sessions, 0 closed"
    assert opened.sessions == 1


def _in_child(app: Tidemill, answer: Path, opened: Opened) -> None:
    try:
        asyncio.run(app.function(next(iter(app.task_types))).enqueue())
        answer.write_text(f"{opened.sessions} sessions, {opened.closed} closed")
    finally:
        os._exit(0)


async def test_on_sqlite_an_application_works_alike(tmp_path: Path, make_app: Any) -> None:
    app = Tidemill(f"sqlite:///{tmp_path / 'tasks.db'}")
    try:
        handles = await app.task(work).enqueue_many([{}, {}])
        assert [await handle.state() for handle in handles] == [State.PENDING] * 2
        assert await handles[0].cancel("no") is State.CANCELLED
        assert (await handles[0].get()).reason == "no"
    finally:
        await app.close()
