"""Queues with limits: what is counted, whom it wakes, and that it costs the others nothing."""

import asyncio
import time
from datetime import timedelta

from tests.engines.redis.hands import looking, opened
from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed
from tidemill.rates import Rate
from tidemill.task import Limit
from tidemill.testing.lab import LabClock

LONG = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


async def test_a_wait_ends_when_the_rate_lets_the_next_task_start(url: str) -> None:
    async with opened(url) as lab:
        rate = Rate(1, timedelta(seconds=0.3), 1)
        await lab.engine.configure([QueueDefinition("default", rate=rate)])
        for _ in range(3):
            await lab.add()
        started = time.monotonic()
        for _ in range(3):
            while not await lab.claim():
                await lab.engine.wait(None, LONG)
        assert time.monotonic() - started >= 0.6


async def test_a_rate_that_nobody_waits_for_ends_no_wait(single: str) -> None:
    async with opened(single) as lab:
        rate = Rate(1, timedelta(seconds=0.05), 1)
        await lab.engine.configure([QueueDefinition("default", rate=rate)])
        await lab.add()
        assert len(await lab.claim()) == 1
        await lab.engine.wait(None, LONG)  # the subscription is there
        assert await lab.claim() == []
        begun = time.monotonic()
        await lab.engine.wait(None, timedelta(seconds=0.5))
        assert time.monotonic() - begun >= 0.4


async def test_an_end_in_a_full_queue_wakes_other_sessions(url: str) -> None:
    async with opened(url) as lab:
        await lab.engine.configure([QueueDefinition("default", concurrency=1)])
        for _ in range(2):
            await lab.add()
        (first,) = await lab.claim()
        other = lab.beside()
        await other.engine.wait(None, LONG)  # the subscription is there
        assert await other.claim() == []
        waiting = asyncio.create_task(other.engine.wait(None, LONG))
        await asyncio.sleep(0)
        await lab.settle(first, Completed())
        async with asyncio.timeout(4):  # before the slow poll
            await waiting
        assert len(await other.claim()) == 1
        await other.engine.close()


async def test_what_runs_is_counted_by_worker_over_all_lanes(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        for priority in (0, 5, 10):
            await lab.add(priority=priority)
        assert len(await lab.claim(2, worker="w1")) == 2
        assert len(await lab.claim(1, worker="w2")) == 1
        await lab.engine.configure([QueueDefinition("default", worker_concurrency=2)])
        for _ in range(3):
            await lab.add()
        assert await lab.claim(worker="w1") == []
        assert len(await lab.claim(worker="w2")) == 1
        assert len(await lab.claim(worker="w3")) == 2


async def test_only_queues_with_limits_are_noted_as_such(single: str) -> None:
    async with opened(single, clock=LabClock()) as lab, looking(single) as look:
        noted: list[bytes | None] = []
        for definition in (
            QueueDefinition("a", weight=2),
            QueueDefinition("b", capacity=1),
            QueueDefinition("c", rate=Rate(1, SECOND, 1)),
            QueueDefinition("b"),
            QueueDefinition("c", lease=SECOND),
        ):
            await lab.engine.configure([definition])
            noted.append(await look.ask("HGET", look.key("ledger"), "limited"))
        assert noted == [None, b" b ", b" b c ", b" c ", None]


async def test_what_a_limit_blocks_is_not_in_what_claims_look_at(single: str) -> None:
    async with opened(single, clock=LabClock()) as lab, looking(single) as look:
        for _ in range(50):
            await lab.add(limit=Limit("k", 2))
        assert await look.lanes() == {"default/5": 2}
        assert len(await lab.claim()) == 2
