"""Rules about pruning: docs/engine.md, section 15."""

from datetime import timedelta

from tidemill.engine import Enqueued
from tidemill.outcome import Completed, Failed
from tidemill.task import LogLine, Progress, Retention, State, UniqueKey
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)
KEPT = Retention(completed=MINUTE, failed=2 * MINUTE, cancelled=None)


async def final_tasks_are_removed_when_their_retention_is_over(lab: Lab) -> None:
    """Section 15: prune <= now, by state; None keeps for ever."""
    completed, failed = [await lab.start(retention=KEPT) for _ in range(2)]
    cancelled = await lab.add(retention=KEPT)
    await lab.settle(completed, Completed())
    await lab.settle(failed, Failed(BROKE))
    await lab.engine.cancel([cancelled])
    lab.clock.advance(MINUTE - TICK)
    assert await lab.engine.prune(10) == 0
    lab.clock.advance(TICK)
    assert await lab.engine.prune(10) == 1
    assert await lab.found() == [cancelled, failed.ref.task_id]
    lab.clock.advance(MINUTE)
    assert await lab.engine.prune(10) == 1
    lab.clock.advance(timedelta(days=9999))
    assert await lab.engine.prune(10) == 0
    assert await lab.found() == [cancelled]


async def what_is_not_final_is_never_pruned(lab: Lab) -> None:
    """Section 15: final tasks."""
    ids = [await lab.add(), await lab.add(delay=timedelta(days=99_999))]
    lab.clock.advance(timedelta(days=9999))
    assert await lab.engine.prune(10) == 0
    assert sorted(await lab.found()) == ids


async def pruning_takes_no_more_than_its_limit(lab: Lab) -> None:
    """`prune(limit)`."""
    ids = [await lab.add() for _ in range(5)]
    await lab.engine.cancel(ids)
    lab.clock.advance(timedelta(days=7))
    assert [await lab.engine.prune(2) for _ in range(4)] == [2, 2, 1, 0]


async def a_pruned_task_takes_all_that_belongs_to_it_along(lab: Lab) -> None:
    """`prune`: keys, logs, progress, attempts, counters; the id is then as good as new."""
    task = lab.new(retention=KEPT, unique=UniqueKey("k", lasting=timedelta(days=99)))
    await lab.enqueue(task)
    line = LogLine(lab.now(), "info", "said once", 1)
    await lab.settle(await lab.take(task.id), Completed(b"x"), progress=Progress(1.0), logs=(line,))
    lab.clock.advance(MINUTE)
    assert await lab.engine.prune(10) == 1
    assert (await lab.causes(task.id))[-1] == "removed"
    assert (await lab.engine.stats()).counts == ()
    assert await lab.enqueue(task) == [Enqueued(task.id)]
    fresh = await lab.task(task.id)
    assert (fresh.state, fresh.attempt, fresh.logs) == (State.PENDING, 0, ())
    assert (fresh.attempts, fresh.progress, fresh.result) == ((), None, None)


async def a_retried_task_is_no_longer_pruned(lab: Lab) -> None:
    """Section 6: prune cleared."""
    task_id = await lab.add()
    await lab.engine.cancel([task_id])
    await lab.engine.retry([task_id])
    lab.clock.advance(timedelta(days=999))
    assert await lab.engine.prune(10) == 0
    assert await lab.state(task_id) is State.PENDING
