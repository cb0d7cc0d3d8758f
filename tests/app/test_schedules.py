"""Schedules made, read, changed, run and deleted at run time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from tests.app.conftest import Hand, Recorder
from tests.scheduler.interrupted import Interrupted
from tidemill import (
    ChangedMeanwhile,
    Conflict,
    Cron,
    Every,
    Fired,
    InvalidSchedule,
    Misfire,
    Once,
    Overlap,
    PayloadInvalid,
    Retention,
    ScheduleExists,
    ScheduleNotFound,
    State,
    TaskFunction,
    Tidemill,
    UnknownTaskType,
    VirtualClock,
)
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import SCHEDULE, Engine, Put
from tidemill.outcome import Failed
from tidemill.scheduler import Scheduler
from tidemill.task import TaskError

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def report(app: Tidemill) -> TaskFunction[..., Any]:
    @app.task(name="report", queue="processing", priority=3, tags=["reports"])
    async def report(kind: str, copies: int = 1) -> None: ...

    return report


@pytest.fixture
def interrupted(app: Tidemill, engine: Recorder, clock: VirtualClock) -> Interrupted:
    """What `app` works on."""
    made = Interrupted(engine)
    app.use_engine(cast("Engine", made), clock=clock)
    return made


@pytest.fixture
def rival(make_app: Callable[..., Tidemill]) -> Tidemill:
    """Another application on the same engine."""
    return make_app()


@pytest.fixture
def scheduler(app: Tidemill) -> Scheduler:
    return Scheduler(app)


async def hourly(app: Tidemill, name: str = "hourly", **said: Any) -> None:
    await app.schedules.create(
        name, "report", **{"cron": "0 * * * *", "payload": {"kind": "hourly"}} | said
    )


@pytest.mark.usefixtures("report")
class TestCreate:
    async def test_a_schedule_keeps_what_is_said_and_takes_the_rest_from_its_task_type(
        self, app: Tidemill, report: TaskFunction[..., Any]
    ) -> None:
        info = await app.schedules.create(
            "daily_summary",
            report,
            cron="0 9 * * *",
            timezone="Asia/Shanghai",
            payload={"kind": "daily"},
            timeout=30,
            tags=["night"],
            user_id="u",
            misfire="all",
            misfire_limit=7,
            grace=10,
            overlap="skip",
            ends_at=START + timedelta(days=9),
            expires=HOUR,
        )
        schedule, task = info.schedule, info.schedule.task
        assert schedule.timing == Cron("0 9 * * *", "Asia/Shanghai")
        assert (schedule.misfire, schedule.misfire_limit) == (Misfire.ALL, 7)
        assert (schedule.grace, schedule.overlap) == (timedelta(seconds=10), Overlap.SKIP)
        assert (schedule.ends_at, schedule.expires) == (START + timedelta(days=9), HOUR)
        assert (schedule.since, schedule.created_at) == (START, START)
        assert (task.task_type, task.queue, task.priority) == ("report", "processing", 3)
        assert (task.timeout, task.user_id) == (timedelta(seconds=30), "u")
        assert task.tags == ("reports", "night")
        assert DEFAULT_CODEC.decode(task.payload) == {"kind": "daily"}
        assert info.next_run_at == START + HOUR
        assert (info.version, info.run_count, info.last_run_at) == (1, 0, None)
        assert await app.schedules.get("daily_summary") == info

    async def test_intervals_and_single_instants_are_schedules_too(self, app: Tidemill) -> None:
        payload = {"kind": "x"}
        every = await app.schedules.create("e", "report", every=300, jitter=60, payload=payload)
        once = await app.schedules.create("o", "report", at=START + HOUR, payload=payload)
        assert every.schedule.timing == Every(timedelta(minutes=5), MINUTE)
        assert once.schedule.timing == Once(START + HOUR)
        assert once.next_run_at == START + HOUR

    async def test_a_fired_task_is_what_an_enqueued_one_is(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        @app.task(name="kept", retention=Retention(None, None, None), expires=90, max_attempts=2)
        async def kept(number: int) -> None: ...

        await app.schedules.create("k", kept, every=60, payload={"number": 4})
        await scheduler.catch_up()
        clock.advance(MINUTE)
        await scheduler.catch_up()
        [fire] = await app.schedules.history("k")
        assert fire.task_id
        task = await app.handle(fire.task_id).get()
        assert (task.task_type, task.state, task.max_attempts) == ("kept", State.PENDING, 2)
        assert task.payload == kept.call(4).payload
        assert task.retention == Retention(None, None, None)
        assert task.expires_at == START + MINUTE + timedelta(seconds=90)
        assert task.headers == {"schedule": "k", "fire_at": "2026-01-01T00:01:00Z"}

    @pytest.mark.parametrize(
        ("said", "field", "column"),
        [
            ({"cron": "0 25 * * *"}, "hour", 2),
            ({"cron": "0 0 30 2 *"}, "day of month", None),
            ({"cron": "* * * * *", "timezone": "Asia/Shanghay"}, "timezone", None),
            ({"every": 0.5}, "period", None),
            ({"every": 60, "timezone": "Asia/Shanghai"}, "timezone", None),
            ({"cron": "* * * * *", "jitter": 5}, "jitter", None),
            ({"at": START}, "timing", None),
            ({"cron": "0 0 * * *", "ends_at": START + MINUTE}, "timing", None),
            ({}, "timing", None),
            ({"cron": "* * * * *", "every": 60}, "timing", None),
            ({"every": 60, "misfire": "never"}, "misfire", None),
            ({"every": 60, "cron_expr": "x"}, "cron_expr", None),
        ],
    )
    async def test_what_can_never_work_is_refused_with_its_place_and_nothing_is_stored(
        self, app: Tidemill, said: dict[str, Any], field: str, column: int | None
    ) -> None:
        with pytest.raises(InvalidSchedule) as caught:
            await app.schedules.create("x", "report", payload={"kind": "x"}, **said)
        assert (caught.value.field, caught.value.column) == (field, column)
        assert await app.schedules.list() == []
        engine = await app.engine()
        assert await engine.documents("schedules") == []

    async def test_a_payload_that_does_not_fit_is_refused_with_the_argument(
        self, app: Tidemill
    ) -> None:
        with pytest.raises(PayloadInvalid) as caught:
            await hourly(app, payload={"kind": "x", "copies": "two"})
        assert caught.value.field == "copies"
        with pytest.raises(UnknownTaskType):
            await app.schedules.create("x", "absent", every=60)
        assert await app.schedules.list() == []

    async def test_overlap_skip_and_a_key_of_the_task_type_do_not_go_together(
        self, app: Tidemill
    ) -> None:
        @app.task(name="single", unique="one")
        async def single() -> None: ...

        with pytest.raises(InvalidSchedule, match="unique key"):
            await app.schedules.create("x", single, every=60, overlap="skip")

    async def test_a_name_is_taken_once(self, app: Tidemill) -> None:
        await hourly(app)
        with pytest.raises(ScheduleExists):
            await hourly(app, cron="5 * * * *")
        assert (await app.schedules.get("hourly")).schedule.timing == Cron("0 * * * *")


@pytest.mark.usefixtures("report")
class TestUpdate:
    async def test_fields_that_are_absent_stay(self, app: Tidemill) -> None:
        await hourly(app, queue="slow", tags=["a"], overlap="queue", grace=5, timeout=9)
        before = (await app.schedules.get("hourly")).schedule
        info = await app.schedules.update("hourly", cron="*/30 * * * *")
        after = info.schedule
        assert after.timing == Cron("*/30 * * * *")
        assert (after.task, after.overlap, after.grace) == (
            before.task,
            before.overlap,
            before.grace,
        )
        assert info.version == 2
        assert info.next_run_at == START + timedelta(minutes=30)

    async def test_every_field_can_be_changed_by_itself(self, app: Tidemill) -> None:
        await hourly(app)
        of_task: dict[str, Any] = {
            "queue": "other",
            "priority": 9,
            "max_attempts": 1,
            "timeout": MINUTE,
            "user_id": "u",
            "project_id": "p",
        }
        of_schedule: dict[str, Any] = {
            "misfire": Misfire.SKIP,
            "misfire_limit": 5,
            "grace": MINUTE,
            "overlap": Overlap.QUEUE,
            "starts_at": START + HOUR,
            "ends_at": START + 9 * HOUR,
            "expires": HOUR,
        }
        for name, value in (of_task | of_schedule).items():
            change: dict[str, Any] = {name: value}
            await app.schedules.update("hourly", **change)
        schedule = (await app.schedules.get("hourly")).schedule
        assert {name: getattr(schedule.task, name) for name in of_task} == of_task
        assert {name: getattr(schedule, name) for name in of_schedule} == of_schedule

    async def test_a_kind_of_timing_replaces_the_other(self, app: Tidemill) -> None:
        await hourly(app, timezone="Europe/Berlin")
        update = app.schedules.update
        assert (await update("hourly", cron="5 * * * *")).schedule.timing == Cron(
            "5 * * * *", "Europe/Berlin"
        )
        assert (await update("hourly", timezone="Asia/Tokyo")).schedule.timing == Cron(
            "5 * * * *", "Asia/Tokyo"
        )
        assert (await update("hourly", every=60, jitter=5)).schedule.timing == Every(
            MINUTE, timedelta(seconds=5)
        )
        assert (await update("hourly", jitter=7)).schedule.timing == Every(
            MINUTE, timedelta(seconds=7)
        )
        assert (await update("hourly", at=START + HOUR)).schedule.timing == Once(START + HOUR)

    async def test_none_stands_for_what_the_task_type_says(self, app: Tidemill) -> None:
        await hourly(app, queue="other", priority=9, timeout=5, tags=["x"], expires=60)
        info = await app.schedules.update(
            "hourly", queue=None, priority=None, timeout=None, tags=None, expires=None
        )
        task = info.schedule.task
        assert (task.queue, task.priority, task.timeout) == ("processing", 3, None)
        assert (task.tags, info.schedule.expires) == (("reports",), None)

    async def test_a_new_payload_is_checked_and_the_options_stay(self, app: Tidemill) -> None:
        await hourly(app, queue="other", priority=9)
        with pytest.raises(PayloadInvalid, match="copies"):
            await app.schedules.update("hourly", payload={"kind": "x", "copies": "two"})
        info = await app.schedules.update("hourly", payload={"kind": "y", "copies": 2})
        assert DEFAULT_CODEC.decode(info.schedule.task.payload) == {"kind": "y", "copies": 2}
        assert (info.schedule.task.queue, info.schedule.task.priority) == ("other", 9)

    async def test_another_task_takes_the_same_payload_if_it_fits(self, app: Tidemill) -> None:
        @app.task(name="brief")
        async def brief(kind: str) -> None: ...

        @app.task(name="odd")
        async def odd(number: int) -> None: ...

        await hourly(app)
        info = await app.schedules.update("hourly", task=brief)
        assert info.schedule.task.task_type == "brief"
        assert DEFAULT_CODEC.decode(info.schedule.task.payload) == {"kind": "hourly"}
        with pytest.raises(PayloadInvalid):
            await app.schedules.update("hourly", task="odd")

    async def test_a_process_that_does_not_know_the_task_type_may_change_the_rest(
        self, app: Tidemill, make_app: Callable[..., Tidemill]
    ) -> None:
        await hourly(app)
        elsewhere = make_app()
        await elsewhere.schedules.update("hourly", queue="q", cron="1 * * * *")
        with pytest.raises(UnknownTaskType):
            await elsewhere.schedules.update("hourly", queue=None)
        assert (await app.schedules.get("hourly")).schedule.task.queue == "q"

    async def test_a_wrong_change_leaves_the_schedule_as_it_is(self, app: Tidemill) -> None:
        await hourly(app)
        before = await app.schedules.get("hourly")
        wrong: list[dict[str, Any]] = [{"cron": "61 * * * *"}, {"grace": -1}, {"at": START}]
        for change in wrong:
            with pytest.raises(InvalidSchedule):
                await app.schedules.update("hourly", **change)
        assert await app.schedules.get("hourly") == before

    async def test_an_update_that_changes_nothing_makes_no_new_version(self, app: Tidemill) -> None:
        await hourly(app)
        assert (await app.schedules.update("hourly", cron="0 * * * *")).version == 1

    async def test_updates_of_two_people_at_once_both_hold(
        self, app: Tidemill, rival: Tidemill, interrupted: Interrupted
    ) -> None:
        await hourly(app)
        interrupted.before("put", lambda: rival.schedules.update("hourly", priority=1))
        await app.schedules.update("hourly", queue="q")
        task = (await app.schedules.get("hourly")).schedule.task
        assert (task.queue, task.priority) == ("q", 1)

    async def test_a_change_of_the_version_that_was_read_holds(self, app: Tidemill) -> None:
        await hourly(app)
        read = await app.schedules.get("hourly")
        paused = await app.schedules.pause("hourly", if_version=read.version)
        await app.schedules.resume("hourly", if_version=paused.version)
        with pytest.raises(ChangedMeanwhile, match="the schedule 'hourly' was changed"):
            await app.schedules.resume("hourly", if_version=paused.version)

    @pytest.mark.parametrize("verb", ["update", "pause", "delete"])
    async def test_a_change_that_comes_between_check_and_write_is_not_lost(
        self, verb: str, app: Tidemill, rival: Tidemill, interrupted: Interrupted
    ) -> None:
        await hourly(app)
        read = await app.schedules.get("hourly")
        interrupted.before("put", lambda: rival.schedules.update("hourly", priority=1))
        said = {"queue": "q"} if verb == "update" else {}
        with pytest.raises(ChangedMeanwhile):
            await getattr(app.schedules, verb)("hourly", if_version=read.version, **said)
        found = (await app.schedules.get("hourly")).schedule
        assert (found.task.priority, found.task.queue) == (1, "processing")
        assert not found.paused

    async def test_a_change_that_others_always_overtake_is_given_up(
        self, app: Tidemill, rival: Tidemill, interrupted: Interrupted
    ) -> None:
        await hourly(app)
        overtaking = [partial(rival.schedules.update, "hourly", grace=each) for each in range(10)]
        interrupted.before("put", *overtaking)
        with pytest.raises(Conflict, match="hourly"):
            await app.schedules.update("hourly", queue="q")

    async def test_a_change_of_timing_or_start_never_fires_for_the_past(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        await hourly(app, name="timing", cron="0 0 1 * *")
        await hourly(app, name="start", starts_at=START + 9 * HOUR)
        await hourly(app, name="end", ends_at=START + HOUR + MINUTE)
        await scheduler.catch_up()
        clock.advance(5 * HOUR + MINUTE)
        await scheduler.catch_up()
        await app.schedules.update("timing", cron="0 * * * *")
        await app.schedules.update("start", starts_at=None)
        await app.schedules.update("end", ends_at=None)
        await scheduler.catch_up()
        counts = {info.schedule.name: info.run_count for info in await app.schedules.list()}
        assert counts == {"timing": 0, "start": 0, "end": 1}
        clock.advance(HOUR)
        await scheduler.catch_up()
        counts = {info.schedule.name: info.run_count for info in await app.schedules.list()}
        assert counts == {"timing": 1, "start": 1, "end": 2}

    async def test_a_later_end_leaves_the_beat_of_an_interval_as_it_is(
        self, app: Tidemill, clock: VirtualClock
    ) -> None:
        await app.schedules.create("e", "report", every=HOUR, payload={"kind": "x"})
        clock.advance(20 * MINUTE)
        info = await app.schedules.update("e", ends_at=START + 9 * HOUR)
        assert info.next_run_at == START + HOUR


@pytest.mark.usefixtures("report")
class TestPauseAndResume:
    async def test_a_paused_schedule_does_not_fire_and_a_resumed_one_does_from_then_on(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        await hourly(app)
        await scheduler.catch_up()
        info = await app.schedules.pause("hourly")
        assert info.schedule.paused
        assert info.next_run_at is None
        clock.advance(5 * HOUR + MINUTE)
        await scheduler.catch_up()
        assert await app.schedules.history("hourly") == ()
        info = await app.schedules.resume("hourly")
        assert info.next_run_at == START + 6 * HOUR
        await scheduler.catch_up()
        assert await app.schedules.history("hourly") == ()
        clock.advance(HOUR)
        await scheduler.catch_up()
        assert [fire.at for fire in await app.schedules.history("hourly")] == [START + 6 * HOUR]

    async def test_pausing_twice_and_resuming_what_runs_change_nothing(self, app: Tidemill) -> None:
        await hourly(app)
        assert (await app.schedules.resume("hourly")).version == 1
        await app.schedules.pause("hourly")
        assert (await app.schedules.pause("hourly")).version == 2


@pytest.mark.usefixtures("report")
class TestRun:
    async def test_a_schedule_runs_by_hand_and_keeps_its_instants(
        self, app: Tidemill, clock: VirtualClock
    ) -> None:
        await hourly(app)
        clock.advance(MINUTE)
        first, second = await app.schedules.run("hourly"), await app.schedules.run("hourly")
        assert first.id != second.id
        task = await first.get()
        assert (task.task_type, task.state, task.queue) == ("report", State.PENDING, "processing")
        info = await app.schedules.get("hourly")
        assert (info.run_count, info.last_run_at) == (2, START + MINUTE)
        assert info.next_run_at == START + HOUR
        assert [(fire.task_id, fire.by_hand) for fire in info.fires] == [
            (second.id, True),
            (first.id, True),
        ]

    async def test_a_paused_schedule_runs_by_hand(self, app: Tidemill) -> None:
        await hourly(app, paused=True)
        assert await (await app.schedules.run("hourly")).state() is State.PENDING

    async def test_with_overlap_skip_the_running_task_is_answered(
        self, app: Tidemill, hand: Hand
    ) -> None:
        await hourly(app, overlap="skip")
        first = await app.schedules.run("hourly")
        again = await app.schedules.run("hourly")
        assert (again.id, again.duplicate) == (first.id, True)
        await hand.complete(await hand.take(), None)
        assert not (await app.schedules.run("hourly")).duplicate

    async def test_what_is_changed_in_that_instant_runs_as_it_is_now(
        self, app: Tidemill, rival: Tidemill, interrupted: Interrupted
    ) -> None:
        await hourly(app)
        interrupted.before("fire", lambda: rival.schedules.update("hourly", priority=9))
        assert (await (await app.schedules.run("hourly")).get()).priority == 9
        interrupted.before("fire", lambda: rival.schedules.delete("hourly"))
        with pytest.raises(ScheduleNotFound):
            await app.schedules.run("hourly")


@pytest.mark.usefixtures("report")
class TestDelete:
    async def test_a_deleted_schedule_is_gone_with_its_history_and_its_tasks_stay(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        await hourly(app)
        handle = await app.schedules.run("hourly")
        await scheduler.catch_up()
        await app.schedules.delete("hourly")
        clock.advance(HOUR)
        await scheduler.catch_up()
        for question in (
            app.schedules.get("hourly"),
            app.schedules.history("hourly"),
            app.schedules.pause("hourly"),
            app.schedules.run("hourly"),
            app.schedules.delete("hourly"),
        ):
            with pytest.raises(ScheduleNotFound):
                await question
        assert await app.schedules.list() == []
        assert await handle.state() is State.PENDING
        await hourly(app)
        assert await app.schedules.history("hourly") == ()


@pytest.mark.usefixtures("report")
class TestRead:
    async def test_fires_are_told_newest_first(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        await app.schedules.create("e", "report", every=MINUTE, payload={"kind": "x"})
        for _ in range(60):
            clock.advance(MINUTE)
            await scheduler.catch_up()
        info = await app.schedules.get("e")
        assert [fire.at for fire in info.fires] == [
            START + minutes * MINUTE for minutes in range(60, 10, -1)
        ]
        assert info.fires == await app.schedules.history("e")
        assert (info.run_count, info.last_run_at) == (60, START + HOUR)
        [listed] = await app.schedules.list()
        assert (listed.run_count, listed.last_run_at) == (60, START + HOUR)
        assert listed.fires == ()

    async def test_the_last_run_is_the_newest_that_was_not_skipped(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        await app.schedules.create(
            "e", "report", every=MINUTE, payload={"kind": "x"}, overlap="skip"
        )
        for _ in range(3):
            clock.advance(MINUTE)
            await scheduler.catch_up()
        [listed] = await app.schedules.list()
        assert (listed.run_count, listed.last_run_at) == (1, START + MINUTE)
        outcomes = [fire.outcome for fire in await app.schedules.history("e")]
        assert outcomes == [Fired.SKIPPED, Fired.SKIPPED, Fired.FIRED]

    async def test_the_last_error_is_that_of_the_newest_task_that_failed(
        self, app: Tidemill, hand: Hand
    ) -> None:
        await hourly(app)
        for number in range(3):
            await app.schedules.run("hourly")
            claim = await hand.take()
            if number < 2:
                await hand.settle(claim, Failed(TaskError("Boom", f"number {number}")))
            else:
                await hand.complete(claim, None)
        info = await app.schedules.get("hourly")
        assert info.last_error
        assert info.last_error.message == "number 1"

    async def test_a_schedule_that_nobody_fires_is_late_after_a_minute(
        self, app: Tidemill, clock: VirtualClock
    ) -> None:
        await hourly(app)
        await hourly(app, name="paused", paused=True)
        clock.advance(HOUR + MINUTE)
        assert not (await app.schedules.get("hourly")).late
        clock.advance(MINUTE)
        info = await app.schedules.get("hourly")
        assert info.late
        assert info.next_run_at == START + HOUR
        assert not (await app.schedules.get("paused")).late

    async def test_statistics_count_schedules_by_condition(
        self, app: Tidemill, scheduler: Scheduler, clock: VirtualClock
    ) -> None:
        empty = await app.schedules.statistics()
        assert (empty.active, empty.last_fire_at, empty.next_fire_at) == (0, None, None)
        await hourly(app)
        await hourly(app, name="b", cron="30 * * * *")
        await hourly(app, name="paused", paused=True)
        await app.schedules.create("once", "report", at=START + 3 * MINUTE, payload={"kind": "x"})
        clock.advance(3 * MINUTE)
        await scheduler.catch_up()
        clock.advance(timedelta(minutes=29))
        found = await app.schedules.statistics()
        assert (found.active, found.paused, found.finished, found.late) == (2, 1, 1, 1)
        assert found.last_fire_at == START + 3 * MINUTE
        assert found.next_fire_at == START + 30 * MINUTE

    async def test_a_definition_that_cannot_be_read_does_not_hide_the_others(
        self, app: Tidemill
    ) -> None:
        await hourly(app)
        engine = await app.engine()
        await engine.put([Put(SCHEDULE, "broken", b"{")])
        assert [info.schedule.name for info in await app.schedules.list()] == ["hourly"]
        with pytest.raises(InvalidSchedule, match="cannot be read"):
            await app.schedules.get("broken")
        await app.schedules.delete("broken")

    def test_ordinary_code_reads_schedules_too(self, app: Tidemill) -> None:
        app.run_blocking(app.schedules.create("e", "report", every=60, payload={"kind": "x"}))
        assert app.run_blocking(app.schedules.get("e")).version == 1
