"""Rules about promotion and expiry: docs/engine.md, section 15."""

from datetime import timedelta

from tidemill.engine import Promoted
from tidemill.outcome import Retried, Waiting
from tidemill.task import Limit, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import NO_TIME, TICK, Lab

MINUTE = timedelta(minutes=1)


async def due_tasks_become_pending(lab: Lab) -> None:
    """Section 15: due <= now, and nothing else."""
    task_id = await lab.add(delay=MINUTE)
    later = await lab.add(delay=MINUTE + TICK)
    assert await lab.engine.promote(10) == Promoted(0, MINUTE)
    lab.clock.advance(MINUTE - TICK)
    assert await lab.engine.promote(10) == Promoted(0, TICK)
    lab.clock.advance(TICK)
    assert await lab.engine.promote(10) == Promoted(1, TICK)
    assert await lab.states(task_id, later) == [State.PENDING, State.SCHEDULED]
    assert await lab.causes(task_id) == ["enqueued", "promoted"]


async def a_task_is_promoted_once(lab: Lab) -> None:
    """Section 15: moves scheduled tasks."""
    task_id = await lab.add(delay=MINUTE)
    lab.clock.advance(MINUTE)
    assert await lab.engine.promote(10) == Promoted(1, None)
    assert await lab.engine.promote(10) == Promoted(0, None)
    claim = await lab.take(task_id)
    assert await lab.engine.promote(10) == Promoted(0, None)
    assert await lab.claimed() == []
    await lab.settle(claim, Retried(BROKE, MINUTE))
    lab.clock.advance(MINUTE)
    assert await lab.engine.promote(10) == Promoted(1, None)
    assert (await lab.take(task_id)).attempt == 2


async def promotion_takes_the_longest_due_first_and_no_more_than_its_limit(lab: Lab) -> None:
    """Section 15: in order of due, then id."""
    third, first, second = [await lab.add(delay=n * MINUTE) for n in (3, 1, 2)]
    lab.clock.advance(3 * MINUTE)
    assert await lab.engine.promote(2) == Promoted(2, NO_TIME)
    assert await lab.states(first, second, third) == [
        State.PENDING,
        State.PENDING,
        State.SCHEDULED,
    ]
    assert await lab.engine.promote(2) == Promoted(1, None)


async def nothing_waiting_is_said_so(lab: Lab) -> None:
    """`Promoted.next_in`: None when none waits."""
    assert await lab.engine.promote(10) == Promoted(0, None)
    await lab.add()
    assert await lab.engine.promote(10) == Promoted(0, None)


async def waiting_tasks_past_their_expiry_are_cancelled(lab: Lab) -> None:
    """Section 15: scheduled, blocked (on a limit or on children) and pending; reason `expired`."""
    at = lab.now(MINUTE)
    parent = await lab.start(expires_at=at)
    child = await lab.add(delay=5 * MINUTE)
    await lab.settle(parent, Waiting((child,)))
    pending = await lab.add(expires_at=at, limit=Limit("k", 1))
    blocked = await lab.add(expires_at=at, limit=Limit("k", 1))
    scheduled = await lab.add(expires_at=at, delay=2 * MINUTE)
    lab.clock.advance(MINUTE - TICK)
    assert await lab.engine.promote(10) == Promoted(0, TICK)
    lab.clock.advance(TICK)
    assert await lab.engine.promote(10) == Promoted(4, 4 * MINUTE)
    for task_id in (parent.ref.task_id, pending, blocked, scheduled):
        task = await lab.task(task_id)
        assert (task.state, task.reason) == (State.CANCELLED, "expired")
        assert task.finished_at == lab.now()


async def a_task_that_is_due_and_expired_is_cancelled(lab: Lab) -> None:
    """Section 15: one that may no longer start is not moved on."""
    task_id = await lab.add(delay=MINUTE, expires_at=lab.now(2 * MINUTE))
    lab.clock.advance(2 * MINUTE)
    assert await lab.engine.promote(10) == Promoted(1, None)
    assert await lab.state(task_id) is State.CANCELLED


async def the_next_expiry_is_announced_like_the_next_due_instant(lab: Lab) -> None:
    """Section 15: the next due or expiring instant."""
    await lab.add(delay=5 * MINUTE)
    await lab.add(expires_at=lab.now(3 * MINUTE))
    assert await lab.engine.promote(10) == Promoted(0, 3 * MINUTE)


async def running_and_final_tasks_do_not_expire(lab: Lab) -> None:
    """Section 15: waiting tasks."""
    await lab.start(expires_at=lab.now(MINUTE))
    ended = await lab.add(expires_at=lab.now(MINUTE))
    await lab.engine.cancel([ended], "by hand")
    lab.clock.advance(MINUTE)
    assert await lab.engine.promote(10) == Promoted(0, None)
    assert (await lab.task(ended)).reason == "by hand"


async def a_limit_counts_expired_and_due_tasks_together(lab: Lab) -> None:
    """Section 15: `limit` of both together."""
    for n in range(3):
        await lab.add(delay=(n + 1) * TICK)
        await lab.add(expires_at=lab.now((n + 1) * TICK))
    lab.clock.advance(MINUTE)
    assert (await lab.engine.promote(4)).moved == 4
    assert (await lab.engine.promote(4)).moved == 2
    assert await lab.engine.promote(4) == Promoted(0, None)
