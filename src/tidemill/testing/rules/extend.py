"""Rules about extending leases: docs/engine.md, section 5. Stale extensions: `fencing`."""

from datetime import timedelta

from tidemill.engine import Extension, Hold, QueueDefinition
from tidemill.outcome import Completed
from tidemill.task import DEFAULT_LEASE, LogLine, Progress, State
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)


async def an_extended_lease_counts_from_the_extension(lab: Lab) -> None:
    """Section 5: lease end = now + lease, also when that is sooner than before."""
    claim = await lab.start()
    lab.clock.advance(DEFAULT_LEASE)
    assert await lab.extend(claim, MINUTE) is Hold.HELD
    lab.clock.advance(MINUTE)
    assert await lab.engine.reclaim(10) == []
    assert await lab.extend(claim, TICK) is Hold.HELD
    lab.clock.advance(2 * TICK)
    assert len(await lab.engine.reclaim(10)) == 1


async def a_task_is_never_taken_from_a_worker_that_extends_its_lease(lab: Lab) -> None:
    """Section 13: however long it runs."""
    claim = await lab.start(timeout=MINUTE)
    for _ in range(200):
        lab.clock.advance(DEFAULT_LEASE)
        assert await lab.extend(claim) is Hold.HELD
        assert await lab.engine.reclaim(10) == []
    assert await lab.settle(claim, Completed()) is State.COMPLETED


async def the_queues_own_lease_also_replaces_that_of_an_extension(lab: Lab) -> None:
    """`QueueDefinition.lease`: the queue's lease time."""
    await lab.engine.configure([QueueDefinition("slow", lease=10 * MINUTE)])
    claim = await lab.start(queue="slow")
    await lab.extend(claim, MINUTE)
    lab.clock.advance(10 * MINUTE)
    assert await lab.engine.reclaim(10) == []
    lab.clock.advance(TICK)
    assert len(await lab.engine.reclaim(10)) == 1


async def progress_and_logs_of_an_extension_are_recorded(lab: Lab) -> None:
    """Section 5: the last progress; every line, in order."""
    claim = await lab.start()
    lines = [LogLine(lab.now(timedelta(seconds=n)), "info", f"line {n}", 1) for n in range(4)]
    await lab.extend(claim, progress=Progress(10.0, "begun", "parse", 1, 10), logs=tuple(lines[:2]))
    await lab.extend(claim, logs=tuple(lines[2:3]))
    task = await lab.task(claim.ref.task_id)
    assert task.progress == Progress(10.0, "begun", "parse", 1, 10)
    await lab.extend(claim, progress=Progress(33.5), logs=tuple(lines[3:]))
    task = await lab.task(claim.ref.task_id)
    assert (task.progress, task.logs) == (Progress(33.5), tuple(lines))


async def an_extension_hears_of_a_requested_cancel(lab: Lab) -> None:
    """Section 5: `cancel`, and the lease is renewed all the same."""
    claim = await lab.start()
    assert await lab.extend(claim) is Hold.HELD
    await lab.engine.cancel([claim.ref.task_id])
    lab.clock.advance(DEFAULT_LEASE)
    assert await lab.extend(claim, progress=Progress(5.0)) is Hold.CANCEL
    lab.clock.advance(DEFAULT_LEASE)
    assert await lab.engine.reclaim(10) == []
    assert (await lab.task(claim.ref.task_id)).progress == Progress(5.0)


async def one_batch_extends_held_and_lost_claims_in_order(lab: Lab) -> None:
    """The seam: answers each input in order."""
    lost = await lab.start()
    await lab.lose(lost)
    await lab.add()
    await lab.add()
    held, cancelled = await lab.claim()
    await lab.engine.cancel([cancelled.ref.task_id])
    answers = await lab.engine.extend(
        [Extension(claim.ref) for claim in (lost, held, cancelled, held)], MINUTE
    )
    assert answers == [Hold.LOST, Hold.HELD, Hold.CANCEL, Hold.HELD]
