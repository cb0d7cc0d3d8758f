"""The examples of the publishing platform's guide (seeds/004, sections 1 to 6), one test each."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.seeds.application import Content, Failing, publishing
from tidemill import State, TaskFailedError, Tidemill
from tidemill.cron import parse
from tidemill.engine import TaskQuery
from tidemill.testing import Harness

WEEK = timedelta(days=7)


@pytest.fixture
def failing() -> Failing:
    return Failing()


@pytest.fixture
def app(failing: Failing) -> Tidemill:
    return publishing(failing)


# 2. submit


async def test_a_task_is_submitted_with_queue_priority_timeout_user_and_project(
    app: Tidemill,
) -> None:
    async with Harness(app) as harness:
        handle = await (
            app.function("content_generation")
            .options(
                queue="processing",
                priority=10,
                max_attempts=4,
                timeout=300,
                user_id="user-123",
                project_id="project-456",
            )
            .enqueue(topic="AI技术发展趋势", style="专业深度", length=2000)
        )
        task = await handle.get()
        assert (task.queue, task.priority, task.max_attempts) == ("processing", 10, 4)
        assert (task.timeout, task.user_id, task.project_id) == (
            timedelta(seconds=300),
            "user-123",
            "project-456",
        )
        await harness.drain()
        assert await handle.result() == Content("AI技术发展趋势 (专业深度, 2000)")


async def test_topics_are_submitted_in_one_batch(app: Tidemill) -> None:
    async with Harness(app) as harness:
        topics = [{"topic": topic} for topic in ("AI技术", "区块链", "元宇宙")]
        handles = await app.function("content_generation").enqueue_many(topics)
        await harness.drain()
        assert [await handle.state() for handle in handles] == [State.COMPLETED] * 3


# 3. state


async def test_progress_is_a_percentage_and_a_message(app: Tidemill) -> None:
    async with Harness(app) as harness:
        handle = await app.function("content_generation").enqueue(topic="AI技术")
        await harness.drain()
        told = await handle.progress()
        assert told is not None
        assert (told.percent, told.message) == (50, "正在生成内容...")


async def test_progress_has_steps(app: Tidemill) -> None:
    async with Harness(app) as harness:
        handle = await app.function("video_processing").enqueue()
        await harness.drain()
        told = await handle.progress()
        assert told is not None
        assert (told.step, told.done, told.total, told.message) == ("通知", 3, 4, "正在通知...")


async def test_a_subscriber_sees_a_tasks_progress_in_order(app: Tidemill) -> None:
    async with Harness(app) as harness:
        handle = await app.function("video_processing").enqueue()
        events = handle.events()
        await harness.drain()
        seen = [event.progress.percent async for event in events if event.progress]
        assert seen == sorted(seen)


async def test_a_task_its_progress_and_its_result_are_read_by_id(app: Tidemill) -> None:
    async with Harness(app) as harness:
        task_id = (await app.function("content_generation").enqueue(topic="AI技术")).id
        await harness.drain()
        handle = app.handle(task_id)
        assert (await handle.get()).state is State.COMPLETED
        assert await handle.progress() is not None
        assert await handle.result() == Content("AI技术 (, 0)")


async def test_tasks_are_listed_by_queue_and_state_in_pages(app: Tidemill) -> None:
    async with Harness(app):
        topics = [{"topic": str(number)} for number in range(25)]
        await app.function("content_generation").enqueue_many(topics)
        engine = await app.engine()
        query = TaskQuery(
            queues=frozenset({"processing"}), states=frozenset({State.PENDING}), limit=20
        )
        first = await engine.find(query)
        second = await engine.find(TaskQuery(queues=query.queues, limit=20, before=first.cursor))
        assert (len(first.tasks), len(second.tasks), second.cursor) == (20, 5, None)


# 4. retry


async def test_a_failed_attempt_is_tried_again_after_1_4_and_9_seconds(
    app: Tidemill, failing: Failing
) -> None:
    async with Harness(app) as harness:
        failing.times = 3
        handle = await app.function("content_generation").enqueue(topic="AI技术")
        await harness.drain()
        for waits in (1, 4, 9):
            task = await handle.get()
            assert (task.state, task.run_at - harness.now()) == (
                State.SCHEDULED,
                timedelta(seconds=waits),
            )
            await harness.run_for(seconds=waits)
        assert await handle.state() is State.COMPLETED


async def test_three_retries_are_the_default(app: Tidemill, failing: Failing) -> None:
    async with Harness(app) as harness:
        failing.times = 9
        handle = await app.function("content_generation").enqueue(topic="AI技术")
        await harness.run_for(minutes=1)
        with pytest.raises(TaskFailedError):
            await handle.result()
        assert (await handle.get()).attempt == 4


async def test_a_task_is_retried_by_hand(app: Tidemill, failing: Failing) -> None:
    async with Harness(app) as harness:
        failing.times = 4
        handle = await app.function("content_generation").enqueue(topic="AI技术")
        await harness.run_for(minutes=1)
        await handle.retry()
        await harness.drain()
        assert await handle.state() is State.COMPLETED


async def test_tasks_that_can_be_retried_are_listed(app: Tidemill, failing: Failing) -> None:
    async with Harness(app) as harness:
        failing.times = 4
        handle = await app.function("content_generation").enqueue(topic="AI技术")
        await harness.run_for(minutes=1)
        assert [task.id for task in (await app.failed.find()).tasks] == [handle.id]


async def test_tasks_completed_more_than_30_days_ago_are_cleaned_up(app: Tidemill) -> None:
    async with Harness(app) as harness:
        old = await app.function("hotspot_monitor").enqueue()
        await harness.drain()
        await harness.advance(days=1)
        new = await app.function("hotspot_monitor").enqueue()
        await harness.drain()
        await harness.advance(days=29.5)
        count = await app.prune(timedelta(days=30), states={State.COMPLETED})
        engine = await app.engine()
        assert count == 1
        kept = await engine.find(TaskQuery(ids=(old.id, new.id)))
        assert [task.id for task in kept.tasks] == [new.id]


# 5. schedules


@pytest.mark.parametrize(
    ("name", "task_type", "cron", "queue", "payload", "fires"),
    [
        ("hourly_report", "report_generation", "0 * * * *", None, {"report_type": "hourly"}, 24),
        ("daily_summary", "report_generation", "0 9 * * *", None, {"report_type": "daily"}, 1),
        ("hotspot_check", "hotspot_monitor", "*/5 * * * *", "notification", {}, 288),
    ],
)
async def test_a_schedule_is_created_and_fires(
    app: Tidemill,
    name: str,
    task_type: str,
    cron: str,
    queue: str | None,
    payload: dict[str, object],
    fires: int,
) -> None:
    async with Harness(app) as harness:
        await app.schedules.create(
            name, task_type, cron=cron, payload=payload, queue=queue, timezone="Asia/Shanghai"
        )
        await harness.run_for(hours=24)
        found = await app.schedules.get(name)
        assert found.run_count == fires
        fired = app.handle(found.fires[0].task_id or "")
        task = await fired.get()
        assert (task.state, task.queue) == (State.COMPLETED, queue or "processing")
        assert await fired.result() == payload.get("report_type")


async def _hourly(app: Tidemill) -> None:
    await app.schedules.create(
        "hourly_report",
        "report_generation",
        cron="0 * * * *",
        payload={"report_type": "hourly"},
    )


async def test_a_schedule_is_paused(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        await app.schedules.pause("hourly_report")
        await harness.run_for(hours=3)
        found = await app.schedules.get("hourly_report")
        assert (found.schedule.paused, found.run_count, found.next_run_at) == (True, 0, None)


async def test_a_schedule_is_resumed_and_does_not_make_up_for_the_pause(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        await app.schedules.pause("hourly_report")
        await harness.run_for(hours=3)
        await app.schedules.resume("hourly_report")
        await harness.run_for(hours=2)
        assert (await app.schedules.get("hourly_report")).run_count == 2


async def test_a_schedule_is_run_now(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        handle = await app.schedules.run("hourly_report")
        await harness.drain()
        assert await handle.result() == "hourly"


async def test_a_schedule_is_updated_and_keeps_what_is_not_named(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        await app.schedules.update("hourly_report", cron="*/30 * * * *")
        await harness.run_for(hours=2)
        found = await app.schedules.get("hourly_report")
        assert found.run_count == 4
        assert await app.handle(found.fires[0].task_id or "").result() == "hourly"


async def test_a_schedule_is_deleted(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        await app.schedules.delete("hourly_report")
        await harness.run_for(hours=2)
        assert await app.schedules.list() == []
        assert (await harness.tasks()) == []


async def test_a_schedule_is_read_with_its_next_run(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        found = await app.schedules.get("hourly_report")
        assert found.next_run_at is not None
        assert timedelta(0) < found.next_run_at - harness.now() <= timedelta(hours=1)


async def test_schedules_are_listed(app: Tidemill) -> None:
    async with Harness(app):
        await _hourly(app)
        await app.schedules.create("check", "hotspot_monitor", every=timedelta(minutes=5))
        assert [each.schedule.name for each in await app.schedules.list()] == [
            "check",
            "hourly_report",
        ]


async def test_the_scheduler_has_statistics(app: Tidemill) -> None:
    async with Harness(app) as harness:
        await _hourly(app)
        await app.schedules.create(
            "check", "hotspot_monitor", every=timedelta(minutes=5), paused=True
        )
        await harness.run_for(hours=1)
        told = await app.schedules.statistics()
        assert (told.active, told.paused, told.late) == (1, 1, 0)
        assert told.last_fire_at is not None
        assert told.next_fire_at is not None
        assert told.next_fire_at > told.last_fire_at


# 6. statistics


async def test_the_statistics_of_the_last_seven_days(app: Tidemill, failing: Failing) -> None:
    async with Harness(app) as harness:
        await harness.advance(days=30)
        face = app.function("content_generation")
        await face.enqueue_many([{"topic": "AI技术"}] * 3)
        await harness.drain()
        failing.times = 1
        await face.options(max_attempts=1).enqueue(topic="AI技术")
        await harness.drain()
        await harness.advance(seconds=1)
        stats = await app.statistics(harness.now() - WEEK, harness.now())
        assert (stats.total, stats.completed, stats.failed) == (4, 3, 1)
        assert stats.success_rate == pytest.approx(75)
        assert stats.avg_duration_ms is not None


async def test_the_statistics_of_a_queue(app: Tidemill) -> None:
    async with Harness(app) as harness:
        face = app.function("content_generation")
        await face.enqueue(topic="AI技术")
        await harness.drain()
        await face.enqueue_many([{"topic": "AI技术"}] * 2)
        [stats] = await app.queue_statistics("processing")
        assert (stats.waiting[State.PENDING], stats.running) == (2, 0)
        assert (stats.completed, stats.failed) == (1, 0)


# cron expressions


@pytest.mark.parametrize(
    ("cron", "instants"),
    [
        ("* * * * *", ["07-01 00:01", "07-01 00:02"]),
        ("*/5 * * * *", ["07-01 00:05", "07-01 00:10"]),
        ("0 * * * *", ["07-01 01:00", "07-01 02:00"]),
        ("0 9 * * *", ["07-01 09:00", "07-02 09:00"]),
        ("0 9 * * 1", ["07-06 09:00", "07-13 09:00"]),
        ("0 9 1 * *", ["07-01 09:00", "08-01 09:00"]),
    ],
)
def test_a_cron_expression_means_what_the_guide_says(cron: str, instants: list[str]) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    rule = parse(cron, "Asia/Shanghai")
    at, found = datetime(2026, 7, 1, tzinfo=zone), []
    for _ in instants:
        at = rule.next(at) or at
        found.append(at.astimezone(zone).strftime("%m-%d %H:%M"))
    assert found == instants
