"""What another engine gave is taken in as the reference takes it in."""

import json
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from tests.engines.redis.campaign import Campaign
from tests.engines.redis.hands import looking, opened
from tidemill.engine import Enqueued, Stats
from tidemill.engines.memory import MemoryEngine
from tidemill.outcome import Failed
from tidemill.task import Task, UniqueKey
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab, LabClock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def a_past(clock: LabClock, seed: int) -> Sequence[Task]:
    """All tasks that another engine has after a campaign."""
    lab = Lab(MemoryEngine(clock=clock, ordered="lane"), clock)
    await Campaign(lab, seed).run(300)
    return await lab.find()


def counted(stats: Stats) -> object:
    return sorted(stats.counts, key=lambda each: (each.queue, each.task_type, each.state))


@pytest.mark.parametrize("seed", range(5))
async def test_a_whole_store_is_restored_as_the_reference_does(url: str, seed: int) -> None:
    clock = LabClock()
    tasks = await a_past(clock, seed)
    assert len({task.state for task in tasks}) > 4
    oracle = Lab(MemoryEngine(clock=clock, ordered="lane"), clock)
    async with opened(url, clock=clock) as lab:
        expected = await oracle.engine.restore(tasks)
        assert await lab.engine.restore(tasks) == expected
        assert await lab.find() == await oracle.find()
        assert counted(await lab.engine.stats()) == counted(await oracle.engine.stats())
        assert await lab.found(tags=("t",)) == await oracle.found(tags=("t",))
        assert await lab.engine.restore(tasks) == [False] * len(tasks)
        for each in (lab, oracle):  # both go on in the same way
            await each.engine.promote(1000)
        assert await lab.states(*(task.id for task in tasks)) == await oracle.states(
            *(task.id for task in tasks)
        )


async def test_a_restored_failure_is_a_dead_letter_of_its_time(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        claim = await lab.start(queue="mail")
        await lab.settle(claim, Failed(BROKE))
        letters = look.key("dlq", "mail", queue="mail")
        (before,) = await look.entries(letters)
        task = await lab.task(claim.ref.task_id)
        await lab.engine.remove([task.id])
        assert await look.entries(letters) == []
        lab.clock.advance(DAY)
        await lab.engine.restore([task])
        (letter,) = await look.entries(letters)
        assert letter == before
        assert json.loads(letter["task"])["id"] == task.id
        await lab.engine.retry([task.id])
        assert await look.entries(letters) == []


async def test_a_key_of_a_duration_is_taken_for_what_is_left_of_it(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        task = await lab.task(await lab.add(unique=UniqueKey("k", lasting=2 * HOUR), delay=DAY))
        await lab.engine.cancel([task.id])
        await lab.engine.remove([task.id])
        lab.clock.advance(HOUR)
        assert await lab.engine.restore([task]) == [True]
        lab.clock.advance(HOUR - TICK)
        new = lab.new(unique=UniqueKey("k"))
        assert await lab.enqueue(new) == [Enqueued(task.id, duplicate=True)]
        lab.clock.advance(TICK)
        assert await lab.enqueue(new) == [Enqueued(new.id)]


async def test_a_task_without_its_payload_is_refused_before_anything_happens(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        task = await lab.task(await lab.add())
        await lab.engine.cancel([task.id])
        await lab.engine.remove([task.id])
        bare = msgspec.structs.replace(task, payload=None)
        with pytest.raises(ValueError, match="without its payload"):
            await lab.engine.restore([task, bare])
        assert await lab.found() == []
