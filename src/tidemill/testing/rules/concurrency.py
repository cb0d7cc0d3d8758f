"""Rules about how many tasks of a queue run at once: docs/engine.md, rules 3.8 and 8."""

import asyncio
import time
from datetime import timedelta

from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed, Released, Retried, Waiting
from tidemill.task import DEFAULT_LEASE, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

SHORT = timedelta(milliseconds=100)
LONG = timedelta(seconds=10)


async def a_queue_gives_no_more_than_its_concurrency(lab: Lab) -> None:
    """Rule 3.8: running tasks of all workers count."""
    await lab.engine.configure([QueueDefinition("a", concurrency=3)])
    ids = [await lab.add(queue="a") for _ in range(5)]
    assert await lab.claimed(2, worker="w1") == ids[:2]
    last = await lab.claim(worker="w2")
    assert [claim.ref.task_id for claim in last] == ids[2:3]
    assert await lab.claimed() == []
    assert await lab.state(ids[4]) is State.PENDING
    await lab.settle(last[0], Completed())
    assert await lab.claimed() == ids[3:4]


async def every_way_out_of_running_makes_room(lab: Lab) -> None:
    """Rule 3.8: retried, released, waiting, reclaimed, and cancelled by reclaim."""
    await lab.engine.configure([QueueDefinition("a", concurrency=1)])
    child = await lab.add(queue="elsewhere", delay=LONG)
    for outcome in (Retried(BROKE, LONG), Released(), Waiting((child,))):
        [claim] = await lab.claim(queues=("a",)) or [await lab.start(queue="a")]
        waiting = await lab.add(queue="a", priority=9)
        assert await lab.claimed(queues=("a",)) == []
        await lab.settle(claim, outcome)
        [claim] = await lab.claim(queues=("a",))
        assert claim.ref.task_id == waiting
        await lab.settle(claim, Completed())
    [claim] = await lab.claim(queues=("a",)) or [await lab.start(queue="a")]
    await lab.lose(claim)
    await lab.take(claim.ref.task_id, queues=("a",))


async def other_queues_are_not_held_up(lab: Lab) -> None:
    """Rule 3.8: a queue that may give nothing is passed over like a paused one."""
    await lab.engine.configure([QueueDefinition("a", concurrency=1, weight=100)])
    first, _, third = [await lab.add(queue=name) for name in ("a", "a", "b")]
    assert sorted(await lab.claimed()) == sorted([first, third])
    later = [await lab.add(queue="b") for _ in range(3)]
    assert await lab.claimed() == later


async def a_share_that_the_concurrency_cuts_goes_to_the_others(lab: Lab) -> None:
    """Rules 3.4 and 3.8: the first so many candidates count for the turns."""
    await lab.engine.configure([QueueDefinition("a", concurrency=2, weight=100)])
    for name in "aaaabbbb":
        await lab.add(queue=name)
    claims = await lab.claim(6)
    assert sorted(claim.queue for claim in claims) == ["a"] * 2 + ["b"] * 4


async def the_first_in_claim_order_start(lab: Lab) -> None:
    """Rule 3.8: by priority."""
    await lab.engine.configure([QueueDefinition("a", concurrency=2)])
    low, high = await lab.add(queue="a", priority=1), await lab.add(queue="a", priority=9)
    normal = await lab.add(queue="a")
    assert await lab.claimed() == [high, normal]
    assert await lab.state(low) is State.PENDING


async def tasks_that_run_alone_count_too(lab: Lab) -> None:
    """Rule 3.8."""
    await lab.engine.configure([QueueDefinition("a", concurrency=1)])
    await lab.lose(await lab.start(queue="a"))
    await lab.add(queue="a")
    assert len(await lab.claim(alone=1)) == 1
    assert await lab.claim(alone=1) == []


async def a_repeated_claim_answers_what_it_took(lab: Lab) -> None:
    """Rules 3.7 and 3.8: its own tasks do not stand in its way."""
    await lab.engine.configure([QueueDefinition("a", concurrency=2)])
    ids = [await lab.add(queue="a") for _ in range(3)]
    claim_id = lab.claim_id()
    assert await lab.claimed(claim_id=claim_id) == ids[:2]
    assert await lab.claimed(claim_id=claim_id) == ids[:2]


async def the_concurrency_can_be_changed_while_tasks_run(lab: Lab) -> None:
    """`configure`: also below what runs; nothing that runs is touched."""
    ids = [await lab.add(queue="a") for _ in range(6)]
    claims = await lab.claim(3)
    await lab.engine.configure([QueueDefinition("a", concurrency=2)])
    assert await lab.claimed() == []
    await lab.settle(claims[0], Completed())
    assert await lab.claimed() == []
    await lab.settle(claims[1], Completed())
    assert await lab.claimed() == ids[3:4]
    await lab.engine.configure([QueueDefinition("a")])
    assert await lab.claimed() == ids[4:]


async def a_worker_gets_no_more_than_the_worker_concurrency(lab: Lab) -> None:
    """Rule 3.8: of each worker by its name."""
    await lab.engine.configure([QueueDefinition("a", worker_concurrency=2)])
    ids = [await lab.add(queue="a") for _ in range(6)]
    [first, _] = await lab.claim(worker="w1")
    assert await lab.claimed(worker="w1") == []
    assert await lab.claimed(worker="w2") == ids[2:4]
    await lab.settle(first, Completed())
    assert await lab.claimed(worker="w1") == ids[4:5]


async def the_worker_concurrency_counts_what_ran_before_it_was_set(lab: Lab) -> None:
    """Rule 3.8: running tasks are counted, not starts."""
    ids = [await lab.add(queue="a") for _ in range(4)]
    assert len(await lab.claim(2, worker="w1")) == 2
    await lab.engine.configure([QueueDefinition("a", worker_concurrency=2)])
    assert await lab.claimed(worker="w1") == []
    assert await lab.claimed(worker="w2") == ids[2:]
    lab.clock.advance(DEFAULT_LEASE + TICK)
    await lab.engine.reclaim(10)
    assert len(await lab.claim(alone=9, worker="w1")) == 2


async def waiting_at_a_full_queue_keeps_nobody_busy(lab: Lab) -> None:
    """Section 8: it does not return at once because of tasks that may not start."""
    await lab.engine.configure([QueueDefinition("a", concurrency=1)])
    for _ in range(3):
        await lab.add(queue="a")
    assert len(await lab.claim()) == 1
    assert await lab.claim() == []
    await lab.engine.wait(("a",), SHORT)  # it may hear of what was done so far
    started = time.monotonic()
    for _ in range(3):
        await lab.engine.wait(("a",), SHORT)
    assert time.monotonic() - started > SHORT.total_seconds() * 2


async def an_end_wakes_who_waits_at_a_full_queue(lab: Lab) -> None:
    """Section 8: when a running task's end lets one start."""
    await lab.engine.configure([QueueDefinition("a", concurrency=1)])
    for _ in range(2):
        await lab.add(queue="a")
    [claim] = await lab.claim()
    assert await lab.claim() == []
    other = lab.beside()
    try:
        assert await other.claim() == []
        await other.engine.wait(("a",), SHORT)
        await other.engine.wait(("a",), SHORT)
        started = time.monotonic()
        waiting = asyncio.ensure_future(other.engine.wait(("a",), LONG))
        await lab.settle(claim, Completed())
        await waiting
        assert time.monotonic() - started < LONG.total_seconds() / 4
        assert len(await other.claim()) == 1
    finally:
        await other.engine.close()
