"""Rules about how fast the tasks of a queue start: docs/engine.md, rules 3.8 and 3.9."""

from datetime import timedelta

from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed, Released
from tidemill.rates import Rate
from tidemill.testing.lab import TICK, Lab

SECOND = timedelta(seconds=1)


async def _queue(lab: Lab, rate: Rate | None, tasks: int = 100) -> None:
    await lab.engine.configure([QueueDefinition("a", rate=rate)])
    await lab.enqueue(*(lab.new(queue="a") for _ in range(tasks)))


async def a_burst_starts_at_once_and_then_one_for_each_interval(lab: Lab) -> None:
    """Rule 3.8: the rate's `burst`, then `per / count` apart."""
    await _queue(lab, Rate(10, SECOND, burst=3))
    assert len(await lab.claim()) == 3
    assert await lab.claim() == []
    lab.clock.advance(SECOND / 10 - TICK)
    assert await lab.claim() == []
    lab.clock.advance(TICK)
    assert len(await lab.claim()) == 1
    lab.clock.advance(SECOND / 5)
    assert len(await lab.claim()) == 2
    assert await lab.claim() == []


async def a_pause_saves_up_a_burst_and_no_more(lab: Lab) -> None:
    """Rule 3.8."""
    await _queue(lab, Rate(10, SECOND, burst=4))
    assert len(await lab.claim()) == 4
    lab.clock.advance(timedelta(days=1000))
    assert len(await lab.claim()) == 4


async def no_stretch_of_time_sees_more_than_the_count_and_the_burst(lab: Lab) -> None:
    """`Rate`: with a count that does not divide its time, and claims at odd instants."""
    rate = Rate(7, SECOND, burst=3)
    await _queue(lab, rate, tasks=200)
    starts: list[int] = []
    for step in range(150):
        starts += [lab.clock.now()] * len(await lab.claim(1 + step % 5))
        lab.clock.advance(timedelta(milliseconds=37 + step % 11))
    within = [
        sum(first <= at < first + 1_000_000 for at in starts) for first in dict.fromkeys(starts)
    ]
    assert max(within) <= 7 + 3
    took = (starts[-1] - starts[0]) / 1_000_000
    assert len(starts) >= 0.98 * 7 * took


async def the_rate_is_shared_by_all_who_claim(lab: Lab) -> None:
    """Rule 3.8: the bucket is part of the store."""
    await _queue(lab, Rate(1, SECOND, burst=5))
    other = lab.beside()
    taken = [await lab.claim(2), await other.claim(2, worker="w2"), await lab.claim(2)]
    assert [len(claims) for claims in taken] == [2, 2, 1]
    assert await other.claim(worker="w2") == []
    await other.engine.close()


async def what_is_given_back_stays_spent(lab: Lab) -> None:
    """Rule 3.8: each start is spent."""
    await _queue(lab, Rate(1, SECOND, burst=2))
    for claim in await lab.claim():
        await lab.settle(claim, Released())
    assert await lab.claim() == []


async def settling_frees_no_rate(lab: Lab) -> None:
    """Rule 3.8: it counts starts, not what runs."""
    await _queue(lab, Rate(1, SECOND, burst=1))
    [claim] = await lab.claim()
    await lab.settle(claim, Completed())
    assert await lab.claim() == []


async def a_rate_and_a_concurrency_hold_together(lab: Lab) -> None:
    """Rule 3.8: the least of them; what the concurrency cuts is not spent."""
    definition = QueueDefinition("a", concurrency=2, rate=Rate(1, SECOND, burst=3))
    await lab.engine.configure([definition])
    await lab.enqueue(*(lab.new(queue="a") for _ in range(10)))
    claims = await lab.claim()
    assert len(claims) == 2
    await lab.settle(claims[0], Completed())
    assert len(await lab.claim()) == 1
    await lab.settle(claims[1], Completed())
    assert await lab.claim() == []


async def the_same_rate_again_goes_on_and_another_begins_anew(lab: Lab) -> None:
    """Rule 3.9."""
    await _queue(lab, Rate(1, SECOND, burst=2))
    assert len(await lab.claim()) == 2
    await lab.engine.configure([QueueDefinition("a", weight=5, rate=Rate(1, SECOND, burst=2))])
    assert await lab.claim() == []
    await lab.engine.configure([QueueDefinition("a", rate=Rate(2, SECOND, burst=3))])
    assert len(await lab.claim()) == 3
    await lab.engine.configure([QueueDefinition("a")])
    assert len(await lab.claim()) == 95


async def other_queues_go_on_beside_a_rate(lab: Lab) -> None:
    """Rule 3.8: a queue that may give nothing is passed over."""
    await _queue(lab, Rate(1, timedelta(hours=1), burst=1), tasks=3)
    ids = [await lab.add(queue="b") for _ in range(3)]
    assert len(await lab.claim()) == 4
    later = await lab.add(queue="b")
    assert await lab.claimed() == [later]
    assert len(ids) == 3


async def large_rates_are_exact(lab: Lab) -> None:
    """`tidemill.rates`: whole numbers below 2^53."""
    await _queue(lab, Rate(30_000, timedelta(days=1), burst=100_000), tasks=5)
    assert len(await lab.claim(3)) == 3
    await lab.engine.configure([QueueDefinition("a", rate=Rate(3, timedelta(days=1), burst=1))])
    assert len(await lab.claim()) == 1
    lab.clock.advance(timedelta(hours=8) - TICK)
    assert await lab.claim() == []
    lab.clock.advance(TICK)
    assert len(await lab.claim()) == 1
