"""Rules about counts: the seam, `Stats`."""

from collections import Counter
from datetime import timedelta

from tidemill.engine import QueueDefinition, QueueStatus
from tidemill.outcome import Cancelled, Completed, Failed, Released, Retried, Snoozed, Waiting
from tidemill.task import DEFAULT_LEASE, FINAL, Limit, Retention, UniqueKey
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)


async def _recount(lab: Lab) -> None:
    told = {
        (each.queue, each.task_type, each.state): each.count
        for each in (await lab.engine.stats()).counts
    }
    assert told == Counter((task.queue, task.task_type, task.state) for task in await lab.find())


async def counts_equal_a_recount_after_every_verb(lab: Lab) -> None:
    """`Stats`: exact counts, whatever moved the tasks."""
    kept = Retention(MINUTE, MINUTE, MINUTE)
    many = {"retention": kept, "limit": Limit("k", 3), "max_attempts": 2}
    for n in range(8):
        await lab.add(queue="ab"[n % 2], delay=n // 4 * MINUTE, **many)
    await lab.add(task_type="mail", unique=UniqueKey("k"), delay=MINUTE)
    await lab.enqueue(lab.new(unique=UniqueKey("k", on_conflict="replace")))
    await lab.add(expires_at=lab.now(TICK))
    await _recount(lab)
    outcomes = (Completed(), Failed(BROKE), Retried(BROKE), Snoozed(MINUTE), Cancelled())
    for step in range(12):
        claims = await lab.claim(3, alone=3)
        await _recount(lab)
        for n, claim in enumerate(claims[:2]):
            child = lab.new(queue="children", retention=kept)
            await lab.settle(claim, outcomes[(step + n) % 5], enqueue=(child,))
            await _recount(lab)
        for claim in claims[2:]:
            await lab.settle(claim, Waiting((lab.new().id,)))
        lab.clock.advance(DEFAULT_LEASE + TICK)
        await lab.engine.promote(2)
        await _recount(lab)
        await lab.engine.reclaim(1)
        await _recount(lab)
        ended = await lab.found(states=FINAL)
        await lab.engine.retry(ended[:1])
        await _recount(lab)
        await lab.engine.remove(ended[1:2])
        await _recount(lab)
        await lab.engine.prune(1)
        await _recount(lab)


async def counts_equal_a_recount_while_plain_tasks_come_and_go(lab: Lab) -> None:
    """`Stats`: an engine may take a shorter way for tasks that have nothing special."""
    for queue in ("a", "b", "a"):
        await lab.add(queue=queue)
        await _recount(lab)
    for claim in await lab.claim(2):
        await _recount(lab)
        await lab.settle(claim, Completed())
        await _recount(lab)
    await lab.settle((await lab.claim())[0], Released())
    await _recount(lab)
    [claim] = await lab.claim()
    await lab.settle(claim, Completed(b"result"))
    await lab.settle(claim, Completed(b"result"))
    await _recount(lab)


async def counts_of_zero_are_left_out(lab: Lab) -> None:
    """`Stats`."""
    task_id = await lab.add()
    await lab.engine.cancel([task_id])
    assert [each.count for each in (await lab.engine.stats()).counts] == [1]
    await lab.engine.remove([task_id])
    assert (await lab.engine.stats()).counts == ()


async def stats_tell_the_engines_time(lab: Lab) -> None:
    """`Stats.at`."""
    lab.clock.advance(MINUTE)
    assert (await lab.engine.stats()).at == lab.now()


async def a_queue_tells_its_settings_and_its_longest_waiting_task(lab: Lab) -> None:
    """`QueueStatus`: `oldest_pending_at` is when its longest-waiting task became due."""
    await lab.engine.configure([QueueDefinition("b", 7, 2 * MINUTE)])
    await lab.add(queue="a", priority=9)
    old = await lab.add(queue="a", run_at=lab.now(-MINUTE))
    await lab.add(queue="c", delay=MINUTE)
    assert (await lab.engine.stats()).queues == (
        QueueStatus(QueueDefinition("a"), paused=False, oldest_pending_at=lab.now(-MINUTE)),
        QueueStatus(QueueDefinition("b", 7, 2 * MINUTE), paused=False, oldest_pending_at=None),
        QueueStatus(QueueDefinition("c"), paused=False, oldest_pending_at=None),
    )
    await lab.engine.cancel([old])
    [a, *_] = (await lab.engine.stats()).queues
    assert a.oldest_pending_at == lab.now()
    await lab.claim()
    [a, *_] = (await lab.engine.stats()).queues
    assert a.oldest_pending_at is None


async def a_queue_stays_when_its_tasks_are_gone(lab: Lab) -> None:
    """`QueueStatus`: a queue exists once it was named."""
    task_id = await lab.add(queue="a")
    await lab.engine.cancel([task_id])
    await lab.engine.remove([task_id])
    assert [queue.name for queue in (await lab.engine.stats()).queues] == ["a"]
