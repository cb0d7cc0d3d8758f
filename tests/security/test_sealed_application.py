"""An application with an encryption key works as one without; what lacks the key loses nothing."""

import asyncio
import gzip
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tidemill import Context, KeyMissing, Node, Settings, State, TaskFailedError, Tidemill
from tidemill.app.declared import reconcile
from tidemill.backup import backup, restore
from tidemill.clock import VirtualClock
from tidemill.engine import TaskQuery
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.sealed import Sealed, stored
from tidemill.engines.sqlite import SqliteEngine
from tidemill.events import TaskSnoozed
from tidemill.sealing import Keyring
from tidemill.testing import Harness

CANARY = "canary-of-the-mine"
FIRST, SECOND = os.urandom(32).hex(), os.urandom(32).hex()


def name_of(key: str) -> str:
    ring = Keyring.of(key)
    assert ring is not None
    return str(ring.current_id)


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TIDEMILL_"):
            monkeypatch.delenv(name)


def shop(key: str | None, *former: str) -> Tidemill:
    app = Tidemill(
        "memory://", settings=Settings(encryption_key=key, former_encryption_keys=former)
    )

    @app.task(name="echo")
    async def echo(ctx: Context, text: str) -> str:
        ctx.logger.info("got %s", text)
        await ctx.progress(50, text)
        return text

    @app.task(name="boom", max_attempts=1)
    async def boom(text: str) -> None:
        raise ValueError(text)

    @app.task(name="family")
    async def family(ctx: Context, text: str) -> list[str]:
        return await ctx.gather(echo.call(text), echo.call(text))

    return app


@asynccontextmanager
async def working(app: Tidemill) -> AsyncIterator[None]:
    node = Node(app)
    running = asyncio.create_task(node.run())
    try:
        yield
    finally:
        node.drain()
        await running
        await app.close()


async def test_tasks_children_errors_and_logs_are_sealed_and_read(tmp_path: Path) -> None:
    app, engine = shop(FIRST), SqliteEngine(tmp_path / "tasks.db")
    app.use_engine(engine)
    async with working(app):
        family = await app.function("family").enqueue(text=CANARY)
        assert await family.result(20) == [CANARY, CANARY]
        failed = await app.function("boom").enqueue(text=CANARY)
        with pytest.raises(TaskFailedError, match=CANARY):
            await failed.result(20)
        assert CANARY in str(await (await app.engine()).find(TaskQuery(details=True)))
        assert CANARY not in str(await engine.find(TaskQuery(details=True)))
    await engine.close()
    assert _with_canary(tmp_path) == []


def _with_canary(folder: Path) -> list[str]:
    files = [each for each in folder.iterdir() if each.is_file()]
    assert files
    return [each.name for each in files if CANARY.encode() in each.read_bytes()]


async def test_a_worker_without_the_key_gives_the_task_back_and_one_with_it_runs_it() -> None:
    clock = VirtualClock()
    engine = MemoryEngine(clock=clock)
    producer, stranger, mended = shop(FIRST), shop(SECOND), shop(SECOND, FIRST)
    for app in (producer, stranger, mended):
        app.use_engine(engine, clock=clock)
    handle = await producer.function("echo").enqueue(text="kept")
    snoozed = asyncio.Event()
    stranger.on(TaskSnoozed)(lambda _: snoozed.set())
    async with working(stranger):
        async with asyncio.timeout(20):
            await snoozed.wait()
        task = await handle.get()
    assert task.state is State.SCHEDULED
    assert (task.attempt, task.error) == (0, None)
    [seen] = (await Sealed(engine, _ring(SECOND)).find(TaskQuery())).tasks
    assert f"encrypted with the key {name_of(FIRST)}, which this process" in str(seen.reason)
    clock.advance(timedelta(seconds=61))
    async with working(mended):
        assert await mended.handle(handle.id).result(20) == "kept"


def _ring(key: str) -> Keyring:
    ring = Keyring.of(key)
    assert ring is not None
    return ring


async def test_a_worker_without_any_key_does_not_run_garbage_either() -> None:
    producer, plain = shop(FIRST), shop(None)
    engine = MemoryEngine()
    producer.use_engine(engine)
    plain.use_engine(engine)
    handle = await producer.function("echo").enqueue(text="kept")
    snoozed = asyncio.Event()
    plain.on(TaskSnoozed)(lambda _: snoozed.set())
    async with working(plain), asyncio.timeout(20):
        await snoozed.wait()
    task = await handle.get()
    assert (task.state, task.attempt) == (State.SCHEDULED, 0)
    [there] = (await engine.find(TaskQuery(details=True))).tasks
    with pytest.raises(KeyMissing, match=name_of(FIRST)):
        plain.task_types["echo"].signature.load(there.payload or b"")


async def test_a_payload_that_was_altered_fails_its_task_and_no_other() -> None:
    app, engine, altered = shop(FIRST), MemoryEngine(), MemoryEngine()
    app.use_engine(engine)
    broken = await app.function("echo").enqueue(text="broken")
    whole = await app.function("echo").enqueue(text="whole")
    for task in (await engine.find(TaskQuery(details=True))).tasks:
        payload = task.payload or b""
        if task.id == broken.id:
            payload = payload[:-1] + bytes([payload[-1] ^ 1])
        await altered.restore([msgspec.structs.replace(task, payload=payload)])
    app.use_engine(altered)
    async with working(app):
        assert await app.handle(whole.id).result(20) == "whole"
        with pytest.raises(TaskFailedError, match="altered after it was encrypted"):
            await app.handle(broken.id).result(20)


async def test_a_backup_carries_what_is_stored_and_restores_under_the_same_key(
    tmp_path: Path,
) -> None:
    app, engine = shop(FIRST), SqliteEngine(tmp_path / "tasks.db")
    app.use_engine(engine)
    handle = await app.function("echo").options(delay=60).enqueue(text=CANARY)
    await app.schedules.create("nightly", "echo", payload={"text": CANARY}, cron="0 3 * * *")
    file = tmp_path / "tasks.backup.gz"
    await backup(await app.engine(), file)
    await app.close()
    await engine.close()
    assert CANARY not in gzip.decompress(file.read_bytes()).decode()
    other = MemoryEngine()
    again = shop(SECOND, FIRST)
    again.use_engine(other)
    report = await restore(await again.engine(), file)
    assert (report.restored, report.known) == (1, 0)
    assert CANARY not in str(await other.find(TaskQuery(details=True)))
    task = await again.handle(handle.id).get()
    assert CANARY in str(task.payload)
    info = await again.schedules.get("nightly")
    assert CANARY in str(info.schedule.task.payload)
    without = shop(None)
    without.use_engine(other)
    assert await without.schedules.list() == []
    with pytest.raises(KeyMissing, match=name_of(FIRST)):
        await without.schedules.get("nightly")


async def test_a_scheduler_without_the_key_does_not_overwrite_what_it_cannot_read() -> None:
    engine = MemoryEngine()

    def declared(key: str | None) -> Tidemill:
        app = shop(key)
        app.use_engine(engine)
        app.schedule("nightly", "echo", payload={"text": "x"}, cron="0 3 * * *")
        return app

    owner = declared(FIRST)
    await reconcile(owner, await owner.engine())
    [before] = await engine.documents("schedule")
    with pytest.raises(KeyMissing, match=name_of(FIRST)):
        await Node(declared(None)).run()
    assert await engine.documents("schedule") == [before]


async def test_the_harness_runs_an_application_with_a_key() -> None:
    app = shop(FIRST)
    async with Harness(app) as harness:
        handle = await app.function("family").enqueue(text="x")
        await harness.drain()
        assert await handle.result(0) == ["x", "x"]


async def test_every_session_of_an_application_is_sealed_and_knows_what_is_stored() -> None:
    app = shop(FIRST)
    engine = await app.engine()
    assert isinstance(engine, Sealed)
    assert isinstance(stored(engine), MemoryEngine)
    await app.close()
    assert not isinstance(await shop(None).engine(), Sealed)
