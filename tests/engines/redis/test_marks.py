"""Schedules: what is kept of them, in one shard and spread over the queues of a cluster."""

from datetime import datetime, timedelta

import msgspec
import pytest

from tests.engines.redis.hands import looking, opened
from tidemill.engine import FIRES_KEPT, SCHEDULE, Fire, Fired, Firing, Mark, Put
from tidemill.engines.redis import documents
from tidemill.engines.redis import marks as reading
from tidemill.engines.redis.cluster import ClusterEngine
from tidemill.engines.redis.keys import DIRECTORY
from tidemill.ids import fire_id
from tidemill.task import Limit, State, UniqueKey
from tidemill.testing.lab import TICK, Lab, LabClock

MINUTE = timedelta(minutes=1)
FIRED, ALREADY = Fired.FIRED, Fired.ALREADY


def firing(lab: Lab, at: datetime, schedule: str = "nightly", **options: object) -> Firing:
    task = msgspec.structs.replace(lab.new(**options), id=fire_id(schedule, at))
    return Firing(schedule, at, task)


async def mark(lab: Lab, schedule: str = "nightly") -> Mark:
    [found] = (await lab.engine.marks([schedule], FIRES_KEPT)).marks
    return found


async def test_the_list_of_fires_holds_no_more_than_are_kept(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        for hour in range(3):
            batch = [
                firing(lab, lab.now(n * TICK - MINUTE)) for n in range(hour * 40, hour * 40 + 40)
            ]
            assert await lab.engine.fire(batch) == [FIRED] * 40
        assert await look.ask("LLEN", look.key("fires", "nightly")) == FIRES_KEPT
        assert (await mark(lab)).count == 120


async def test_many_marks_are_read_in_parts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MARKS_AT_ONCE", 3)
    async with opened(url, clock=LabClock()) as lab:
        names = [f"s{n}" for n in range(8)]
        await lab.engine.fire([firing(lab, lab.now(), name) for name in names[::2]])
        for fires in (0, 1, 2, 50):
            found = (await lab.engine.marks(names, fires)).marks
            assert [each.schedule for each in found] == names
            assert [each.count for each in found] == [1, 0] * 4
            assert [len(each.fires) for each in found] == [min(1, fires), 0] * 4
        assert (await lab.engine.marks([])).marks == ()
        assert (await lab.engine.marks([])).at == lab.now()


async def test_a_schedule_that_is_removed_leaves_nothing(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        before = await look.keys()
        await lab.engine.put([Put(SCHEDULE, "nightly", b"{}")])
        missed = Firing("nightly", lab.now(-TICK), None, missed=1)
        await lab.engine.fire([missed, firing(lab, lab.now(), queue="a")])
        await lab.engine.put([Put(SCHEDULE, "nightly", None)])
        assert [key for key in await look.keys() - before if "marks" in key or "fires" in key] == []


# On a cluster


async def test_marks_of_several_queues_are_told_as_one(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab:
        first = firing(lab, lab.now(-MINUTE), queue="a")
        assert await lab.engine.fire([first]) == [FIRED]
        lab.clock.advance(TICK)
        second = firing(lab, lab.now(), queue="b")  # the schedule moved to another queue
        assert await lab.engine.fire([second]) == [FIRED]
        found = await mark(lab)
        assert (found.at, found.count) == (second.at, 2)
        assert [each.at for each in found.fires] == [second.at, first.at]
        assert len((await lab.engine.marks(["nightly"], 1)).marks[0].fires) == 1


async def test_an_instant_that_another_queue_fired_is_not_fired_again(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab:
        assert await lab.engine.fire([firing(lab, lab.now(), queue="a")]) == [FIRED]
        assert await lab.engine.fire([firing(lab, lab.now(), queue="b")]) == [ALREADY]
        assert await lab.engine.fire([Firing("nightly", lab.now(), None, missed=1)]) == [ALREADY]


async def test_missed_instants_are_noted_where_their_schedule_is(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab, looking(spread) as look:
        late, last = lab.now(-2 * TICK), lab.now(-TICK)
        missed = Firing("nightly", late, None, missed=3)
        assert await lab.engine.fire([missed, firing(lab, last, queue="a")]) == [
            Fired.MISSED,
            FIRED,
        ]
        assert await lab.engine.fire([Firing("nightly", lab.now(), None, missed=1)]) == [
            Fired.MISSED
        ]
        assert await look.ask("LLEN", look.key("fires", "nightly", queue="a")) == 3
        assert not await look.ask("EXISTS", look.key("fires", "nightly", queue=DIRECTORY))


async def test_a_removed_schedule_is_forgotten_in_every_queue(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab:
        await lab.engine.put([Put(SCHEDULE, "nightly", b"{}")])
        for queue in "ab":
            await lab.engine.fire([firing(lab, lab.now(), queue=queue)])
            lab.clock.advance(TICK)
        assert (await mark(lab)).count == 2
        await lab.engine.put([Put(SCHEDULE, "nightly", None)])
        assert await mark(lab) == Mark("nightly")


async def test_a_removed_schedule_is_forgotten_although_its_remover_died(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab, opened(spread, first=100) as other:
        await lab.engine.put([Put(SCHEDULE, "nightly", b"{}")])
        await lab.engine.fire([firing(lab, lab.now(), queue="a")])
        assert isinstance(lab.engine, ClusterEngine)
        await documents.put(lab.engine._shards.directory, [Put(SCHEDULE, "nightly", None)])
        assert (await mark(lab)).count == 1
        await other.engine.promote(10)
        assert await mark(lab) == Mark("nightly")


async def test_a_restored_mark_holds_for_every_queue(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab:
        fire = Fire(at=lab.now(), recorded_at=lab.now(), outcome=FIRED, task_id="1")
        restored = Mark("nightly", lab.now(), 3, (fire,))
        await lab.engine.restore([], marks=[restored])
        assert await lab.engine.fire([firing(lab, lab.now(), queue="a")]) == [ALREADY]
        lab.clock.advance(TICK)
        assert await lab.engine.fire([firing(lab, lab.now(), queue="a")]) == [FIRED]
        assert (await mark(lab)).count == 4
        await lab.engine.restore([], marks=[msgspec.structs.replace(restored, count=9)])
        assert (await mark(lab)).count == 4
        await lab.engine.put([Put(SCHEDULE, "nightly", None)])
        assert await mark(lab) == Mark("nightly")


# What schedules give their tasks, and everything else, is told whole


async def test_unique_keys_and_limits_are_given_back_whole(url: str) -> None:
    keys = (
        UniqueKey("a"),
        UniqueKey("b", "start", "replace"),
        UniqueKey("c", "start", "reject", MINUTE),
        UniqueKey("d", lasting=TICK),
    )
    async with opened(url, clock=LabClock()) as lab:
        for number, key in enumerate(keys, 1):
            task = await lab.task(await lab.add(unique=key, limit=Limit("l", number)))
            assert (task.unique, task.limit) == (key, Limit("l", number))
            assert task.state in (State.PENDING, State.BLOCKED)
