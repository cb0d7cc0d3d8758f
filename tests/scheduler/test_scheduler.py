"""Schedulers: each instant once, what is late by policy, changes at once, outages survived."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tests.scheduler.conftest import START, Seen
from tests.scheduler.interrupted import Interrupted
from tidemill import (
    EngineLost,
    EngineRecovered,
    EngineUnavailable,
    Event,
    Fired,
    ScheduleBroken,
    ScheduleFired,
    ScheduleMissed,
    ScheduleSkipped,
    Tidemill,
    VirtualClock,
)
from tidemill.engine import SCHEDULE, Engine, Marks, Put, TaskQuery
from tidemill.engines.memory import MemoryEngine
from tidemill.schedule import encode
from tidemill.scheduler import Scheduler
from tidemill.testing import Fault, FlakyEngine, scripted

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
MakeApp = Callable[[], Tidemill]


async def fired(app: Tidemill, name: str) -> list[datetime]:
    """The instants for which tasks were enqueued, in order."""
    fires = await app.schedules.history(name)
    return [fire.at for fire in fires if fire.outcome is Fired.FIRED][::-1]


async def enqueued(engine: Engine) -> Counter[str]:
    """How many tasks each schedule has made."""
    page = await engine.find(TaskQuery(limit=1_000))
    return Counter(task.headers["schedule"] for task in page.tasks)


async def each_minute(clock: VirtualClock, schedulers: Iterable[Scheduler], minutes: int) -> None:
    for _ in range(minutes):
        clock.advance(MINUTE)
        await asyncio.gather(*[each.catch_up() for each in schedulers])


async def test_instants_fire_when_they_have_come_and_not_before(
    app: Tidemill, clock: VirtualClock, seen: Seen
) -> None:
    await app.schedules.create("a", "work", cron="*/2 * * * *")
    scheduler = Scheduler(app)
    await scheduler.catch_up()
    assert scheduler.next_at == START + 2 * MINUTE
    clock.advance(2 * MINUTE - timedelta(microseconds=1))
    await scheduler.catch_up()
    assert await fired(app, "a") == []
    clock.advance(SECOND)
    await scheduler.catch_up()
    assert await fired(app, "a") == [START + 2 * MINUTE]
    [event] = [event for event in seen if isinstance(event, ScheduleFired)]
    [fire] = await app.schedules.history("a")
    assert (event.schedule, event.at, event.task_id) == ("a", START + 2 * MINUTE, fire.task_id)
    assert 2 * SECOND > event.lag >= SECOND - timedelta(microseconds=1)


async def test_a_schedule_made_changed_or_deleted_meanwhile_needs_no_restart(
    app: Tidemill, make_app: MakeApp, clock: VirtualClock
) -> None:
    scheduler, elsewhere = Scheduler(app), make_app()
    await scheduler.catch_up()
    await elsewhere.schedules.create("a", "work", every=MINUTE)
    await each_minute(clock, [scheduler], 2)
    await elsewhere.schedules.update("a", every=5 * MINUTE)
    await each_minute(clock, [scheduler], 5)
    assert await fired(app, "a") == [START + minutes * MINUTE for minutes in (1, 2, 7)]
    await elsewhere.schedules.delete("a")
    await scheduler.catch_up()
    assert scheduler.next_at is None


async def test_a_schedule_made_anew_under_its_name_is_another(
    app: Tidemill, clock: VirtualClock
) -> None:
    await app.schedules.create("a", "work", every=5 * MINUTE)
    scheduler = Scheduler(app)
    await each_minute(clock, [scheduler], 1)
    await app.schedules.delete("a")
    again = await app.schedules.create("a", "work", every=MINUTE)
    assert again.version == 1, "as before: a scheduler cannot tell them apart by that"
    await each_minute(clock, [scheduler], 1)
    assert await fired(app, "a") == [START + 2 * MINUTE]


async def test_a_change_that_nobody_announced_is_seen_when_the_engine_refuses(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock
) -> None:
    info = await app.schedules.create("a", "work", every=MINUTE)
    scheduler = Scheduler(app)
    await scheduler.catch_up()
    await engine.put([Put(SCHEDULE, "a", encode(info.schedule))])
    clock.advance(MINUTE)
    await scheduler.catch_up()
    assert await fired(app, "a") == []
    await scheduler.catch_up()
    assert await fired(app, "a") == [START + MINUTE]


async def test_three_schedulers_fire_each_instant_once(
    make_app: MakeApp, engine: MemoryEngine, clock: VirtualClock
) -> None:
    apps = [make_app() for _ in range(3)]
    for number in range(20):
        await apps[0].schedules.create(f"s{number}", "work", every=MINUTE, jitter=30)
    await each_minute(clock, [Scheduler(each) for each in apps], 12)
    made = await enqueued(engine)
    counts = {info.schedule.name: info.run_count for info in await apps[0].schedules.list()}
    assert made == counts
    assert set(counts.values()) <= {11, 12}


async def test_many_due_at_once_fire_once_each_whoever_is_at_work(
    make_app: MakeApp, engine: MemoryEngine, clock: VirtualClock, seen: Seen
) -> None:
    apps = [make_app() for _ in range(3)]
    await apps[0].schedules.create("s", "work", cron="0 * * * *")
    model = (await apps[0].schedules.get("s")).schedule
    many = [replace(model, name=f"s{number}") for number in range(1_700)]
    await engine.put([Put(SCHEDULE, each.name, encode(each)) for each in many])
    schedulers = [Scheduler(each) for each in apps]
    await asyncio.gather(*[each.catch_up() for each in schedulers])
    clock.advance(HOUR)
    await asyncio.gather(*[each.catch_up() for each in schedulers])
    names = [event.schedule for event in seen if isinstance(event, ScheduleFired)]
    assert sorted(names) == sorted(["s", *[each.name for each in many]])
    marks = await engine.marks([each.name for each in many])
    assert {(mark.at, mark.count) for mark in marks.marks} == {(START + HOUR, 1)}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"misfire": "skip"}, {"missed": 7, "fired": 1}),
        ({"misfire": "once"}, {"missed": 6, "fired": 2}),
        ({"misfire": "all"}, {"missed": 0, "fired": 8}),
        ({"misfire": "all", "misfire_limit": 3}, {"missed": 4, "fired": 4}),
        ({"misfire": "skip", "grace": 3600}, {"missed": 0, "fired": 8}),
    ],
    ids=str,
)
async def test_what_fell_due_while_no_scheduler_ran_is_dealt_with_by_policy(
    make_app: MakeApp,
    clock: VirtualClock,
    seen: Seen,
    policy: dict[str, Any],
    expected: dict[str, int],
) -> None:
    app = make_app()
    await app.schedules.create("a", "work", every=2 * MINUTE, **policy)
    await each_minute(clock, [Scheduler(app)], 2)
    clock.advance(16 * MINUTE)
    await Scheduler(make_app()).catch_up()
    fires = (await app.schedules.history("a"))[:-1]
    assert sum(fire.missed for fire in fires) == expected["missed"]
    assert sum(fire.outcome is Fired.FIRED for fire in fires) == expected["fired"]
    assert fires[0].at == START + 18 * MINUTE
    missed = [event.missed for event in seen if isinstance(event, ScheduleMissed)]
    assert sum(missed) == expected["missed"]


async def test_a_restart_neither_repeats_nor_loses_an_instant(
    make_app: MakeApp, clock: VirtualClock
) -> None:
    app = make_app()
    await app.schedules.create("a", "work", every=MINUTE)
    await app.schedules.create("b", "work", cron="*/3 * * * *")
    for _ in range(12):
        clock.advance(30 * SECOND)
        await Scheduler(make_app()).catch_up()
    assert await fired(app, "a") == [START + minutes * MINUTE for minutes in range(1, 7)]
    assert await fired(app, "b") == [START + 3 * MINUTE, START + 6 * MINUTE]


async def test_a_long_backlog_is_fired_to_its_end(app: Tidemill, clock: VirtualClock) -> None:
    await app.schedules.create("a", "work", every=1, grace=HOUR)
    clock.advance(timedelta(minutes=50))
    scheduler = Scheduler(app)
    await scheduler.catch_up()
    assert (await app.schedules.get("a")).run_count == 3_000
    assert scheduler.next_at == START + timedelta(minutes=50, seconds=1)


@pytest.mark.parametrize("verb", ["pause", "delete"])
async def test_what_is_paused_or_deleted_holds_at_once(
    app: Tidemill,
    make_app: MakeApp,
    engine: MemoryEngine,
    clock: VirtualClock,
    seen: Seen,
    verb: str,
) -> None:
    elsewhere, interrupted = make_app(), Interrupted(engine)
    app.use_engine(cast("Engine", interrupted), clock=clock)
    await app.schedules.create("a", "work", every=MINUTE)
    await app.schedules.create("b", "work", every=MINUTE)
    scheduler = Scheduler(app)
    await scheduler.catch_up()
    clock.advance(MINUTE)
    interrupted.before("fire", lambda: getattr(elsewhere.schedules, verb)("a"))
    await scheduler.catch_up()
    await each_minute(clock, [scheduler], 1)
    assert await enqueued(engine) == {"b": 2}


async def test_a_change_in_the_last_moment_fires_as_it_is_now(
    app: Tidemill, make_app: MakeApp, engine: MemoryEngine, clock: VirtualClock
) -> None:
    elsewhere, interrupted = make_app(), Interrupted(engine)
    app.use_engine(cast("Engine", interrupted), clock=clock)
    await app.schedules.create("a", "work", every=MINUTE)
    scheduler = Scheduler(app)
    await scheduler.catch_up()
    clock.advance(MINUTE)
    interrupted.before("fire", lambda: elsewhere.schedules.update("a", priority=9))
    await scheduler.catch_up()
    assert await fired(app, "a") == []
    await scheduler.catch_up()
    [task] = (await engine.find(TaskQuery())).tasks
    assert (task.priority, task.headers["fire_at"]) == (9, "2026-01-01T00:01:00Z")


class Ahead:
    """Answers a later now than `fire` goes by, as one server of several may."""

    def __init__(self, engine: Engine, by: timedelta) -> None:
        self._engine, self._by = engine, by
        self.too_early = asyncio.Event()

    def session(self) -> "Ahead":
        return self

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._engine, verb)

    async def marks(self, *question: Any) -> Marks:
        marks = await self._engine.marks(*question)
        return Marks(marks.at + self._by, marks.marks)

    async def fire(self, firings: Any) -> list[Fired]:
        answers = await self._engine.fire(firings)
        if Fired.EARLY in answers:
            self.too_early.set()
        return answers


async def test_an_engine_whose_clock_is_behind_fires_when_it_gets_there(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock
) -> None:
    await app.schedules.create("a", "work", every=MINUTE)
    ahead = Ahead(engine, by=90 * SECOND)
    app.use_engine(cast("Engine", ahead), clock=clock)
    running = asyncio.ensure_future(Scheduler(app).run())
    try:
        async with asyncio.timeout(20):
            await ahead.too_early.wait()
        assert await fired(app, "a") == []
        clock.advance(MINUTE)
        await _until(app, ScheduleFired)
    finally:
        await _cancelled(running)
    assert await fired(app, "a") == [START + MINUTE]


async def test_a_definition_that_cannot_be_used_is_told_once_and_stops_no_other(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, seen: Seen
) -> None:
    await app.schedules.create("good", "work", every=MINUTE)
    good = (await app.schedules.get("good")).schedule
    zone = encode(good).replace(b'"every"', b'"cron"').replace(b'"period"', b'"expression"')
    await engine.put([Put(SCHEDULE, "unread", b"{"), Put(SCHEDULE, "odd", zone)])
    scheduler = Scheduler(app)
    await each_minute(clock, [scheduler], 3)
    assert len(await fired(app, "good")) == 3
    broken = [event for event in seen if isinstance(event, ScheduleBroken)]
    assert sorted(event.schedule for event in broken) == ["odd", "unread"]
    await engine.put([Put(SCHEDULE, "odd", encode(replace(good, name="odd")))])
    await app.schedules.update("odd", grace=5)
    await each_minute(clock, [scheduler], 1)
    assert len(await fired(app, "odd")) >= 1


async def test_a_skipped_instant_names_the_task_that_still_runs(
    app: Tidemill, clock: VirtualClock, seen: Seen
) -> None:
    await app.schedules.create("a", "work", every=MINUTE, overlap="skip")
    await each_minute(clock, [Scheduler(app)], 2)
    [first] = [event for event in seen if isinstance(event, ScheduleFired)]
    [skipped] = [event for event in seen if isinstance(event, ScheduleSkipped)]
    assert skipped == ScheduleSkipped("a", START + 2 * MINUTE, first.task_id)


async def test_an_outage_loses_and_repeats_nothing(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock
) -> None:
    plan = scripted(
        fire=[Fault.BEFORE, Fault.AFTER],
        marks=[None, None, Fault.BEFORE],
        get=[None, None, None, None, Fault.BEFORE],
        documents=[Fault.AFTER],
    )
    await app.schedules.create("a", "work", every=MINUTE)
    await app.schedules.create("b", "work", every=MINUTE)
    app.use_engine(FlakyEngine(engine, plan), clock=clock)
    scheduler, failures = Scheduler(app), 0
    for _ in range(10):
        clock.advance(20 * SECOND)
        try:
            await scheduler.catch_up()
        except EngineUnavailable:
            failures += 1
    assert failures >= 4
    await scheduler.catch_up()
    for name in ("a", "b"):
        assert await fired(app, name) == [START + minutes * MINUTE for minutes in (1, 2, 3)]
    assert await enqueued(engine) == {"a": 3, "b": 3}


async def test_a_running_scheduler_tells_of_an_outage_and_goes_on(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, seen: Seen
) -> None:
    await app.schedules.create("a", "work", every=MINUTE)
    app.use_engine(FlakyEngine(engine, scripted(get=[Fault.BEFORE], fire=[Fault.AFTER])))
    clock.advance(MINUTE)
    running = asyncio.ensure_future(Scheduler(app).run())
    try:
        await _until(app, EngineRecovered)
    finally:
        await _cancelled(running)
    assert await fired(app, "a") == [START + MINUTE]
    assert [event.doing for event in seen if isinstance(event, EngineLost)] == ["schedule"] * 2


async def test_a_running_scheduler_fires_what_is_made_meanwhile(make_app: MakeApp) -> None:
    app, engine = make_app(), MemoryEngine()
    app.use_engine(engine)
    running = asyncio.ensure_future(Scheduler(app).run())
    try:
        await app.schedules.create("a", "work", every=1)
        events = await _until(app, ScheduleFired, times=2)
    finally:
        await _cancelled(running)
    assert [event.at for event in events[:2]] == (await fired(app, "a"))[:2]
    assert events[1].lag < SECOND


async def _until(app: Tidemill, kind: type[Any], times: int = 1) -> list[Any]:
    """Wait until there were so many events of a kind."""
    seen: list[Event] = []
    enough = asyncio.Event()

    @app.on(kind)
    def see(event: Event) -> None:
        seen.append(event)
        if len(seen) >= times:
            enough.set()

    async with asyncio.timeout(20):
        await enough.wait()
    return seen


async def _cancelled(running: asyncio.Future[None]) -> None:
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
