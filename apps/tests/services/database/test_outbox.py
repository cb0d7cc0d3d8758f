"""Tasks that exist exactly when the transaction that asked for them does."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from apps.tests.services.database.conftest import opened, urls
from apps.tests.services.database.program import application, record
from tidemill import (
    AtMost,
    Call,
    Codec,
    ConfigError,
    EngineUnavailable,
    Options,
    Secret,
    State,
    TaskQuery,
    Tidemill,
    Unique,
    debounce,
)
from tidemill.testing import Fault, FlakyEngine, scripted
from tidemill_apps.services.database import Database, Outbox, Relayed
from tidemill_apps.services.database import recorded as recording
from tidemill_apps.services.database.tables import effect_ledger
from tidemill_apps.services.database.tables import outbox as rows

ROOT = Path(__file__).parents[4]


async def task_ids(app: Tidemill) -> list[str]:
    engine = await app.engine()
    return sorted(task.id for task in (await engine.find(TaskQuery(limit=500))).tasks)


async def left(database: Database) -> list[str | None]:
    async with database.reading() as session:
        return list((await session.execute(select(rows.c.problem))).scalars())


async def effects(database: Database) -> list[str]:
    async with database.reading() as session:
        found = await session.execute(select(effect_ledger.c.key).order_by(effect_ledger.c.key))
        return list(found.scalars())


async def test_a_task_is_enqueued_after_its_transaction_has_committed(folder: Path) -> None:
    app = application("memory://")
    async with opened(folder) as database, Outbox(app, database).running() as outbox:
        task_id = await record(app, database, outbox, 7)
        engine = await app.engine()
        told = await engine.feed("", 1, timedelta(seconds=10))
        assert [entry.task_id for entry in told.entries] == [task_id]
        task = await app.handle(task_id).get()
        assert (task.task_type, task.queue, task.state) == ("mail:analyze", "mail", State.PENDING)
        assert task.payload is not None
        assert Codec().decode(task.payload) == {"number": 7}
    await app.close()


async def test_a_transaction_that_fails_enqueues_nothing(folder: Path) -> None:
    app = application("memory://")
    async with opened(folder) as database:
        outbox = Outbox(app, database)

        async def fail() -> None:
            async with database.writing() as session:
                call = app.function("mail:analyze").call(number=1)
                await outbox.enqueue_after_commit(session, call)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert await outbox.relay() == Relayed()
    assert await task_ids(app) == []
    await app.close()


async def test_relays_at_once_and_repeated_enqueue_each_task_once(folder: Path) -> None:
    app = application("memory://")
    async with opened(folder) as database, opened(folder) as other:
        outbox = Outbox(app, database)
        made = [await record(app, database, outbox, number) for number in range(5)]
        await asyncio.gather(outbox.relay(), Outbox(app, other).relay(), outbox.relay())
        assert await left(database) == []
        assert await outbox.relay() == Relayed()
    assert await task_ids(app) == sorted(made)
    await app.close()


async def test_an_engine_that_does_not_answer_loses_nothing(folder: Path) -> None:
    app = application("memory://")
    plan = scripted(enqueue=[Fault.BEFORE, Fault.AFTER])
    app.use_engine(FlakyEngine(await app.engine(), plan))
    async with opened(folder) as database:
        outbox = Outbox(app, database)
        made = await record(app, database, outbox, 1)
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                await outbox.relay()
            assert await left(database) == [None]
        assert await outbox.relay() == Relayed(enqueued=1)
        assert await task_ids(app) == [made]
    await app.close()


async def test_a_relay_goes_on_when_the_engine_is_back(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = application("memory://")
    app.use_engine(FlakyEngine(await app.engine(), scripted(enqueue=[Fault.BEFORE] * 3)))
    poll = timedelta(milliseconds=1)
    async with opened(folder) as database, Outbox(app, database, poll=poll).running() as outbox:
        made = await record(app, database, outbox, 1)
        await (await app.engine()).feed("", 1, timedelta(seconds=10))
        assert await task_ids(app) == [made]
    assert caplog.text.count("nothing is lost") == 3
    await app.close()


async def test_a_full_queue_takes_what_it_can_and_holds_up_no_other_queue(folder: Path) -> None:
    app = application("memory://")

    @app.task(name="other", queue="other")
    async def other() -> None: ...

    await app.queues.create("mail", capacity=2)
    async with opened(folder) as database:
        outbox = Outbox(app, database)
        for number in range(5):
            await record(app, database, outbox, number)
        async with database.writing() as session:
            await outbox.enqueue_after_commit(session, other.call())
        assert await outbox.relay() == Relayed(enqueued=3, waiting=3)
        assert await outbox.relay() == Relayed(waiting=3)
        assert await left(database) == [None] * 3
    await app.close()


async def test_a_call_that_this_code_does_not_know_stays_until_code_that_does_starts(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, older = application("memory://"), Tidemill("memory://")
    async with opened(folder) as database:
        made = await record(app, database, Outbox(app, database), 1)
        with caplog.at_level(logging.ERROR):
            assert await Outbox(older, database).relay() == Relayed(refused=1)
        assert "UnknownTaskType" in caplog.text
        (problem,) = await left(database)
        assert problem is not None
        assert "mail:analyze" in problem
        assert await Outbox(older, database).relay() == Relayed()
        assert await Outbox(app, database).relay(also_refused=True) == Relayed(enqueued=1)
    assert await task_ids(app) == [made]
    await app.close()


async def test_a_declared_secret_is_not_written_into_the_outbox(folder: Path) -> None:
    app = Tidemill("memory://")

    @app.task(name="login")
    async def login(password: Secret[str]) -> None: ...

    async with opened(folder) as database:
        with pytest.raises(ConfigError, match="login declares secrets"):
            async with database.writing() as session:
                await Outbox(app, database).enqueue_after_commit(
                    session, login.call(password="hunter2")
                )


def calls() -> Sequence[tuple[Tidemill, Call[Any]]]:
    """Calls with each option, of task types that declare some of their own."""
    app = Tidemill("memory://", routes={"mail:*": "mail"})

    @app.task(name="mail:sync", unique="{user}", tags=["mail"], expires=60, priority=7)
    async def sync(user: str, since: datetime | None = None) -> None: ...

    @app.task(name="plain")
    async def plain(user: str = "") -> None: ...

    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    per_user = AtMost(2, "{user}", "accounts")
    options = [
        plain.options(priority=9, max_attempts=2, queue="fast"),
        plain.options(delay=30, timeout=20, soft_timeout=10),
        plain.options(run_at=noon, expires_at=noon + timedelta(hours=1)),
        plain.options(user_id="ana", project_id="p", tags=["a", "b"]),
        plain.options(unique=Unique("index:{user}", until="start", on_conflict="reject")),
        plain.options(unique=debounce("{user}", 5, at_most=60), limit=AtMost(3)),
        plain.options(unique=Unique("k", until=timedelta(minutes=5)), limit=per_user),
        plain.with_options(
            Options(keyspace="tenant/", unique=Unique("{user}"), headers={"h": "1"})
        ),
    ]
    strange = [each.call(user="{user} {0} }{ /plain/ 中文") for each in options]
    return [(app, call) for call in [*strange, plain.call(), sync.call("ana", since=noon)]]


@pytest.mark.parametrize(("app", "call"), calls())
def test_a_recorded_call_makes_the_same_task_each_time(app: Tidemill, call: Call[Any]) -> None:
    task_id, recorded = recording.record(call)
    task = recording.replay(app, recorded).new_task()
    again = recording.replay(app, recorded).new_task()
    # an expiry that the task type declares counts from now, and is decided when it is recorded
    expected = msgspec.structs.replace(call.new_task(task_id=task_id), expires_at=task.expires_at)
    assert task == again == expected
    assert (task.expires_at is None) == (call.new_task().expires_at is None)
    assert set(msgspec.json.decode(recorded)) == {"task_type", "payload", "options"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("where", "kept"), [("before-commit", 0), ("after-commit", 3), ("after-enqueue", 3)]
)
async def test_a_process_killed_anywhere_loses_and_doubles_nothing(
    folder: Path, where: str, kept: int
) -> None:
    command = [sys.executable, "-m", "apps.tests.services.database.program", str(folder), where]
    died = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, timeout=50, check=False)
    assert died.returncode == -signal.SIGKILL
    app = application(urls(folder)[1])
    async with opened(folder) as database:
        made = await effects(database)
        assert len(made) == len(await left(database)) == kept
        assert len(await task_ids(app)) == (kept if where == "after-enqueue" else 0)
        assert await Outbox(app, database).relay() == Relayed(enqueued=kept)
        assert await task_ids(app) == made
        assert await left(database) == []
    await app.close()


@contextmanager
def recording_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that records and relays until the end of the block, where it is killed."""
    command = [sys.executable, "-m", "apps.tests.services.database.program", str(folder), "never"]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(60)
async def test_a_process_killed_at_full_speed_leaves_one_task_for_each_effect(folder: Path) -> None:
    app = application(urls(folder)[1])
    async with opened(folder) as database:
        for least in (20, 40):
            with recording_process(folder) as process:
                while len(await effects(database)) < least:
                    assert process.poll() is None
        await Outbox(app, database).relay()
        assert await task_ids(app) == await effects(database)
        assert await left(database) == []
    await app.close()
