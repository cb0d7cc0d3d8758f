"""What is watched, and that it is told once: by many watches, through crossings and silences."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from tests.alerts.conftest import MakeScene, Scene
from tidemill.alert import AlertLevel as Level
from tidemill.alert import AlertRule, Reading, Rule
from tidemill.alerts import readings
from tidemill.engine import Engine
from tidemill.worker_record import WORKER

MINUTE = 60.0


async def enqueue(scene: Scene, count: int) -> None:
    await scene.app.function("work").enqueue_many({} for _ in range(count))


def levels(told: list[dict[str, object]]) -> list[tuple[str, str, Level]]:
    notices = [each["notice"] for each in told]
    return [(each.rule, each.subject, each.level) for each in notices]  # type: ignore[attr-defined]  # payloads are notices


async def test_a_long_queue_is_told_once_when_it_lasted_and_once_when_it_is_over(
    scene: MakeScene,
) -> None:
    here = scene(rules={"queue_pending": AlertRule(warning=2, alarm=5)})
    await enqueue(here, 6)
    assert await here.look() == []
    assert levels(await here.look(after=31)) == [("queue_pending", "default", Level.ALARM)]
    assert await here.look(after=31) == []
    await here.end(6)
    assert await here.look(after=1) == []
    assert levels(await here.look(after=31)) == [("queue_pending", "default", Level.FINE)]
    assert await here.app.alerts.list() == []


async def test_failures_above_ten_percent_are_one_warning_one_alarm_and_one_recovery(
    scene: MakeScene,
) -> None:
    here = scene(failures=False)
    told = []
    for minute in range(30):
        await enqueue(here, 100)
        await here.end(12 if 5 <= minute < 10 else 0, failing=True)
        await here.end(100)
        for _ in range(6):
            told += levels(await here.look(after=10))
    assert [level for _, _, level in told] == [
        Level.WARNING,
        Level.ALARM,
        Level.FINE,
    ]


async def test_one_failure_of_one_task_is_no_percentage(scene: MakeScene) -> None:
    here = scene()
    await enqueue(here, 1)
    await here.end(1, failing=True)
    assert await here.look(after=1) == []


async def test_two_watches_tell_once(scene: MakeScene) -> None:
    here = scene(rules={"failed_tasks": AlertRule(alarm=3)})
    other = here.another()
    await enqueue(here, 4)
    await here.end(4, failing=True)
    engine = await here.app.engine()
    await asyncio.gather(*(each.look(engine) for each in (here.watch, other, here.watch, other)))
    assert levels(await here.look()) == [("failed_tasks", "default", Level.ALARM)]
    assert await here.look(after=1) == []


async def test_what_was_told_but_not_remembered_is_not_told_again(scene: MakeScene) -> None:
    """A node that ends between both: the next one enqueues the same task."""
    here = scene(rules={"failed_tasks": AlertRule(alarm=0)})
    await enqueue(here, 1)
    await here.end(1, failing=True)
    engine = await here.app.engine()
    put, lost = engine.put, []

    async def ended(puts: object) -> list[None]:
        lost.append(puts)
        return []

    engine.put = ended  # type: ignore[method-assign, assignment]  # the node ends here
    assert levels(await here.look()) == [("failed_tasks", "default", Level.ALARM)]
    engine.put = put  # type: ignore[method-assign]  # the next node
    assert lost
    assert await here.look(after=1) == []
    assert [each.told for each in await here.app.alerts.list()] == [Level.ALARM]


async def test_a_silence_keeps_it_until_it_ends(scene: MakeScene) -> None:
    here = scene(rules={"failed_tasks": AlertRule(alarm=0)})
    await here.app.alerts.silence(
        "failed_tasks", lasting=timedelta(minutes=5), by="ana", reason="known"
    )
    await enqueue(here, 1)
    await here.end(1, failing=True)
    assert await here.look(after=1) == []
    [listed] = await here.app.alerts.list()
    assert (listed.rule, listed.level, listed.silenced) == ("failed_tasks", Level.ALARM, True)
    assert levels(await here.look(after=5 * MINUTE)) == [("failed_tasks", "default", Level.ALARM)]
    assert await here.app.alerts.silences() == []


async def test_a_silence_can_be_ended_at_once(scene: MakeScene) -> None:
    here = scene(rules={"failed_tasks": AlertRule(alarm=0)})
    made = await here.app.alerts.silence(subject="default", lasting=timedelta(hours=5))
    await enqueue(here, 1)
    await here.end(1, failing=True)
    assert await here.look(after=1) == []
    assert [each.id for each in await here.app.alerts.silences()] == [made.id]
    await here.app.alerts.unsilence(made.id)
    assert len(await here.look(after=1)) == 1


async def test_a_task_that_runs_long_is_told_by_its_type(scene: MakeScene) -> None:
    here = scene()
    await enqueue(here, 1)
    claim = await here.hand.take()
    assert levels(await here.look(after=31)) == [("task_running", "work", Level.WARNING)]
    assert levels(await here.look(after=30)) == [("task_running", "work", Level.ALARM)]
    await here.hand.complete(claim, None)
    assert levels(await here.look(after=1)) == [("task_running", "work", Level.FINE)]


async def test_work_without_a_worker_is_told(scene: MakeScene) -> None:
    here = scene(rules={"no_worker": AlertRule()})
    await enqueue(here, 1)
    assert await here.look() == []
    assert levels(await here.look(after=61)) == [("no_worker", "", Level.ALARM)]


async def test_a_late_schedule_is_told_by_its_name(scene: MakeScene) -> None:
    here = scene()
    await here.app.schedules.create("hourly", "work", every=3600.0)
    assert await here.look(after=1) == []
    told = levels(await here.look(after=3600 + 120))
    assert told == [("schedule_late", "hourly", Level.ALARM)]


async def test_the_machine_is_read_only_by_its_own_node(scene: MakeScene) -> None:
    here = scene(rules={"memory": AlertRule(warning=0, alarm=0, window=0.0)})
    [told] = await here.look()
    assert told["notice"].rule == "memory"
    assert 0 < told["notice"].value <= 100
    here.watch._host = "another"  # as a watch on another machine finds it
    assert await here.look(after=1) == []


async def test_quiet_readings_write_nothing(scene: MakeScene) -> None:
    here = scene(rules={"failed_tasks": AlertRule(alarm=0)})
    await enqueue(here, 3)
    await here.end(1, failing=True)
    await here.look()
    engine = await here.app.engine()
    before = await engine.documents("alert")
    await here.end(1, failing=True)
    await here.look(after=60)
    assert await engine.documents("alert") == before
    assert await engine.documents(WORKER) == []


async def test_a_reading_older_than_what_another_node_told_is_no_recovery(
    scene: MakeScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene(failures=False, rules={"failed_tasks": AlertRule(alarm=3)})
    told = []
    taken = readings.of_engine

    async def slowly(engine: Engine, rules: Iterable[Rule]) -> tuple[datetime, list[Reading]]:
        found = await taken(engine, rules)
        monkeypatch.setattr(readings, "of_engine", taken)
        await enqueue(here, 5)
        await here.end(5, failing=True)
        told.extend(levels(await here.look(after=0.01)))
        return found

    monkeypatch.setattr(readings, "of_engine", slowly)
    await here.another().look(await here.app.engine())
    told += levels(await here.look(after=1))
    assert told == [("failed_tasks", "default", Level.ALARM)]


async def test_schedules_that_another_node_read_before_they_were_late_are_no_recovery(
    scene: MakeScene,
) -> None:
    here = scene()
    engine, other = await here.app.engine(), here.another()
    await here.app.schedules.create("hourly", "work", every=3600.0)
    here.clock.advance(timedelta(seconds=3630))
    await other.look(engine)
    told = levels(await here.look(after=35))
    here.clock.advance(timedelta(seconds=5))
    await other.look(engine)
    told += levels(await here.look(after=1))
    assert told == [("schedule_late", "hourly", Level.ALARM)]
