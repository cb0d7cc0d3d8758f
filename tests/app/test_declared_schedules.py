"""Schedules that code declares, and what becomes of them in the engine when a scheduler starts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.app.conftest import Recorder
from tests.scheduler.interrupted import Interrupted
from tidemill import (
    Cron,
    DeclarationError,
    Every,
    InvalidSchedule,
    PayloadInvalid,
    ScheduleNotFound,
    Tidemill,
    UnknownTaskType,
    VirtualClock,
)
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import Engine
from tidemill.scheduler import Scheduler

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
Declare = Callable[..., Tidemill]


@pytest.fixture
def declare(make_app: Callable[..., Tidemill]) -> Declare:
    """Makes an application as code of some version declares it: schedules by name."""

    def declare(
        path: str = "shop:app", task: str = "work", **schedules: dict[str, Any]
    ) -> Tidemill:
        app = make_app()
        app.import_path = path

        @app.task(name=task)
        async def work(number: int = 0) -> None: ...

        for name, said in schedules.items():
            app.schedule(name, task, **said)
        return app

    return declare


async def start(app: Tidemill) -> None:
    """A scheduler starts, and deals with what is due."""
    await Scheduler(app).catch_up()


async def names(app: Tidemill) -> list[str]:
    return [info.schedule.name for info in await app.schedules.list()]


class TestDeclare:
    def test_what_can_never_work_is_refused_where_it_is_written(self, app: Tidemill) -> None:
        @app.task(name="work")
        async def work(number: int) -> None: ...

        with pytest.raises(InvalidSchedule, match="25"):
            app.schedule("a", work, cron="0 25 * * *", payload={"number": 1})
        with pytest.raises(PayloadInvalid, match="number"):
            app.schedule("a", work, every=60, payload={"number": "one"})
        with pytest.raises(UnknownTaskType):
            app.schedule("a", "absent", every=60)
        assert app.declared_schedules == {}
        app.schedule("a", work, every=60, payload={"number": 1})
        with pytest.raises(DeclarationError, match="declared twice"):
            app.schedule("a", work, every=30, payload={"number": 1})
        assert list(app.declared_schedules) == ["a"]

    async def test_declaring_opens_nothing_and_writes_nothing(
        self, declare: Declare, engine: Recorder
    ) -> None:
        declare(a={"every": 60})
        assert await engine.documents("schedule") == []


class TestReconcile:
    async def test_a_declared_schedule_is_there_when_a_scheduler_has_started(
        self, declare: Declare, clock: VirtualClock
    ) -> None:
        app = declare(a={"every": MINUTE, "payload": {"number": 3}})
        clock.advance(HOUR)
        await start(app)
        info = await app.schedules.get("a")
        assert (info.schedule.declared, info.schedule.since) == (True, START + HOUR)
        assert DEFAULT_CODEC.decode(info.schedule.task.payload) == {"number": 3}
        assert info.next_run_at == START + HOUR + MINUTE

    async def test_a_restart_changes_nothing_and_repeats_or_loses_no_instant(
        self, declare: Declare, clock: VirtualClock
    ) -> None:
        for _ in range(9):
            await start(declare(a={"every": MINUTE}))
            clock.advance(40 * timedelta(seconds=1))
        info = await declare().schedules.get("a")
        assert info.version == 1
        assert [fire.at for fire in info.fires] == [
            START + minutes * MINUTE for minutes in range(5, 0, -1)
        ]

    async def test_what_the_code_says_now_replaces_what_it_said_before(
        self, declare: Declare, clock: VirtualClock
    ) -> None:
        await start(declare(a={"every": MINUTE}, b={"every": HOUR}))
        clock.advance(90 * timedelta(seconds=1))
        app = declare(a={"every": MINUTE, "queue": "q"}, b={"cron": "* * * * *"})
        await start(app)
        a, b = (await app.schedules.get("a")).schedule, (await app.schedules.get("b")).schedule
        assert (a.task.queue, a.since) == ("q", START), "the timing is the same, so instants are"
        assert (b.timing, b.since) == (Cron("* * * * *"), START + timedelta(seconds=90))

    async def test_what_an_operator_changed_wins_and_is_shown(self, declare: Declare) -> None:
        app = declare(a={"every": MINUTE, "queue": "q", "payload": {"number": 1}})
        await start(app)
        await app.schedules.update("a", every=HOUR, payload={"number": 2})
        await app.schedules.pause("a")
        app = declare(a={"every": 30, "queue": "other", "grace": 5, "payload": {"number": 3}})
        await start(app)
        schedule = (await app.schedules.get("a")).schedule
        assert schedule.changed == ("timing", "payload", "paused")
        assert (schedule.timing, schedule.paused) == (Every(HOUR), True)
        assert DEFAULT_CODEC.decode(schedule.task.payload) == {"number": 2}
        assert (schedule.task.queue, schedule.grace) == ("other", timedelta(seconds=5))

    async def test_a_task_type_that_an_operator_chose_stays(self, declare: Declare) -> None:
        app = declare(a={"every": MINUTE})

        @app.task(name="other")
        async def other() -> None: ...

        await start(app)
        await app.schedules.update("a", task="other", payload={})
        app = declare(a={"every": MINUTE, "queue": "q"})
        await start(app)
        assert (await app.schedules.get("a")).schedule.task.task_type == "other"

    async def test_a_payload_that_was_changed_for_another_task_type_is_not_kept(
        self, declare: Declare
    ) -> None:
        app = declare(a={"every": MINUTE})
        await start(app)
        await app.schedules.update("a", payload={"number": 7})
        app = declare(task="newer", a={"every": MINUTE, "payload": {"number": 1}})
        await start(app)
        task = (await app.schedules.get("a")).schedule.task
        assert (task.task_type, DEFAULT_CODEC.decode(task.payload)) == ("newer", {"number": 1})

    async def test_a_schedule_made_by_hand_becomes_that_of_the_code(self, declare: Declare) -> None:
        app = declare()
        await app.schedules.create("a", "work", every=HOUR, queue="q")
        app = declare(a={"every": MINUTE})
        await start(app)
        schedule = (await app.schedules.get("a")).schedule
        assert (schedule.declared, schedule.timing, schedule.task.queue) == (
            True,
            Every(MINUTE),
            "default",
        )

    async def test_a_deleted_one_is_back_with_the_next_start(self, declare: Declare) -> None:
        app = declare(a={"every": MINUTE})
        await start(app)
        await app.schedules.delete("a")
        with pytest.raises(ScheduleNotFound):
            await app.schedules.get("a")
        await start(app)
        assert await names(app) == ["a"]

    async def test_schedulers_that_start_together_agree(
        self, declare: Declare, engine: Recorder, clock: VirtualClock
    ) -> None:
        app, rival = declare(a={"every": MINUTE}), declare(a={"every": MINUTE})
        interrupted = Interrupted(engine)
        app.use_engine(cast("Engine", interrupted), clock=clock)
        interrupted.before("put", lambda: start(rival))
        await start(app)
        assert (await app.schedules.get("a")).version == 1


class TestWhatTheCodeNoLongerDeclares:
    async def test_it_is_removed_by_the_application_that_declared_it(
        self, declare: Declare
    ) -> None:
        await start(declare(a={"every": MINUTE}, b={"every": MINUTE}))
        app = declare(b={"every": MINUTE})
        await app.schedules.create("by_hand", "work", every=MINUTE)
        await start(app)
        assert await names(app) == ["b", "by_hand"]
        await start(declare())
        assert await names(app) == ["by_hand"]

    async def test_another_application_leaves_it_alone(self, declare: Declare) -> None:
        await start(declare(a={"every": MINUTE}))
        app = declare(path="wiki:app", b={"every": MINUTE})
        await start(app)
        await start(declare(path="wiki:app"))
        assert await names(app) == ["a"]

    async def test_another_application_of_the_same_path_leaves_it_alone(
        self, declare: Declare
    ) -> None:
        for _ in range(2):
            await start(declare(a={"every": MINUTE}))
            await start(declare(task="index", b={"every": MINUTE}))
        assert await names(declare()) == ["a", "b"]

    async def test_an_old_process_beside_the_new_ones_removes_nothing_while_it_runs(
        self, declare: Declare, clock: VirtualClock
    ) -> None:
        old = Scheduler(declare(a={"every": MINUTE}))
        await old.catch_up()
        app = declare(b={"every": MINUTE})
        await start(app)
        clock.advance(MINUTE)
        await old.catch_up()
        assert await names(app) == ["b"]
        assert (await app.schedules.get("b")).run_count == 1

    async def test_one_that_somebody_made_again_by_hand_stays(self, declare: Declare) -> None:
        app = declare(a={"every": MINUTE})
        await start(app)
        await app.schedules.delete("a")
        await app.schedules.create("a", "work", every=HOUR)
        app = declare()
        await start(app)
        assert await names(app) == ["a"]
