"""Rules about keyed limits: docs/engine.md, section 14."""

from datetime import timedelta

from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Snoozed,
    Waiting,
)
from tidemill.task import DEFAULT_LEASE, Limit, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)
ONE = Limit("k", 1)
TWO = Limit("k", 2)


async def a_task_without_a_limit_is_never_blocked(lab: Lab) -> None:
    """Rule 14.1: beside any number of tasks that have one."""
    await lab.add(limit=ONE)
    await lab.add(limit=ONE)
    ids = [await lab.add() for _ in range(20)]
    assert set(await lab.states(*ids)) == {State.PENDING}


async def tasks_over_their_limit_are_blocked(lab: Lab) -> None:
    """Rule 14.2: pending and running ones count."""
    ids = [await lab.add(limit=TWO) for _ in range(4)]
    assert await lab.states(*ids) == [State.PENDING] * 2 + [State.BLOCKED] * 2
    assert (await lab.task(ids[2])).blocked_on == "limit"
    assert await lab.claimed() == ids[:2]
    assert (await lab.task(await lab.add(limit=TWO))).blocked_on == "limit"
    assert await lab.claimed() == []


async def tasks_of_one_batch_are_counted_one_after_another(lab: Lab) -> None:
    """Rules 1.4 and 14.2."""
    tasks = [lab.new(limit=TWO) for _ in range(3)]
    await lab.enqueue(*tasks)
    assert await lab.states(*(task.id for task in tasks)) == [
        State.PENDING,
        State.PENDING,
        State.BLOCKED,
    ]


async def limits_of_other_keys_and_queues_are_their_own(lab: Lab) -> None:
    """Rule 14.2: of its queue and limit key."""
    await lab.add(limit=ONE)
    for options in ({"limit": Limit("other", 1)}, {"limit": ONE, "queue": "other"}, {}):
        assert await lab.state(await lab.add(**options)) is State.PENDING


async def every_outcome_that_leaves_the_slot_admits_the_next(lab: Lab) -> None:
    """Rule 14.3: completed, failed, cancelled, retried or snoozed for later, waiting."""
    child = await lab.add(delay=timedelta(days=1))
    outcomes: tuple[Outcome, ...] = (
        Completed(),
        Failed(BROKE),
        Cancelled(),
        Retried(BROKE, MINUTE),
        Snoozed(MINUTE),
        Waiting((child,)),
    )
    for number, outcome in enumerate(outcomes):
        queue = f"q{number}"
        claim = await lab.start(queue=queue, limit=ONE)
        blocked = await lab.add(queue=queue, limit=ONE)
        assert await lab.state(blocked) is State.BLOCKED
        await lab.settle(claim, outcome)
        assert await lab.state(blocked) is State.PENDING, outcome
        assert await lab.causes(blocked) == ["enqueued", "admitted"]
        await lab.claim()


async def a_task_that_runs_again_at_once_keeps_its_slot(lab: Lab) -> None:
    """Rule 14.3: it never leaves pending and running."""
    outcomes: tuple[Outcome, ...] = (Retried(BROKE), Snoozed(timedelta(0)), Released())
    for number, outcome in enumerate(outcomes):
        queue = f"q{number}"
        claim = await lab.start(queue=queue, limit=ONE)
        blocked = await lab.add(queue=queue, limit=ONE)
        assert await lab.settle(claim, outcome) is State.PENDING, outcome
        assert await lab.state(blocked) is State.BLOCKED
        await lab.claim()


async def cancelling_a_pending_task_admits_the_next(lab: Lab) -> None:
    """Rule 14.3."""
    pending, blocked = await lab.add(limit=ONE), await lab.add(limit=ONE)
    await lab.engine.cancel([pending])
    assert await lab.state(blocked) is State.PENDING


async def cancelling_a_blocked_task_admits_nobody(lab: Lab) -> None:
    """Rule 14.3: it left no slot."""
    await lab.add(limit=ONE)
    blocked, next_one = await lab.add(limit=ONE), await lab.add(limit=ONE)
    await lab.engine.cancel([blocked])
    assert await lab.state(next_one) is State.BLOCKED


async def an_expired_task_admits_the_next(lab: Lab) -> None:
    """Rule 14.3: expired by promote and by a claim that came upon it."""
    first = await lab.add(limit=ONE, expires_at=lab.now(MINUTE))
    second = await lab.add(limit=ONE, expires_at=lab.now(2 * MINUTE))
    third = await lab.add(limit=ONE)
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    assert await lab.states(first, second) == [State.CANCELLED, State.PENDING]
    lab.clock.advance(MINUTE)
    await lab.claim()
    assert await lab.state(second) is State.CANCELLED
    await lab.claim()
    assert await lab.state(third) is State.RUNNING


async def a_failed_reclaim_admits_the_next_and_another_keeps_its_slot(lab: Lab) -> None:
    """Rule 14.3: pending again keeps the slot, failed leaves it."""
    claim = await lab.start(limit=ONE, max_attempts=2)
    blocked = await lab.add(limit=ONE)
    assert await lab.lose(claim) is State.PENDING
    assert await lab.state(blocked) is State.BLOCKED
    assert await lab.lose(await lab.take(claim.ref.task_id)) is State.FAILED
    assert await lab.state(blocked) is State.PENDING


async def a_reclaim_with_a_cancel_requested_admits_the_next(lab: Lab) -> None:
    """Rules 7.1 and 14.3."""
    claim = await lab.start(limit=ONE)
    blocked = await lab.add(limit=ONE)
    await lab.engine.cancel([claim.ref.task_id])
    lab.clock.advance(DEFAULT_LEASE + TICK)
    await lab.engine.reclaim(10)
    assert await lab.state(blocked) is State.PENDING


async def scheduled_tasks_take_no_slot_until_they_are_promoted(lab: Lab) -> None:
    """Rule 14.2, used by promote."""
    scheduled = await lab.add(limit=ONE, delay=MINUTE)
    pending = await lab.add(limit=ONE)
    assert await lab.state(pending) is State.PENDING
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    task = await lab.task(scheduled)
    assert (task.state, task.blocked_on) == (State.BLOCKED, "limit")
    await lab.settle(await lab.take(pending), Completed())
    assert await lab.state(scheduled) is State.PENDING


async def blocked_tasks_are_admitted_by_priority_then_due_then_id(lab: Lab) -> None:
    """Rule 14.3: also in an engine that orders claims by lane."""
    first = await lab.start(limit=ONE)
    low = await lab.add(limit=ONE, priority=1)
    old = await lab.add(limit=ONE, run_at=lab.now(-MINUTE))
    high = await lab.add(limit=ONE, priority=9)
    plain = await lab.add(limit=ONE)
    claim = first
    for expected in (high, old, plain, low):
        await lab.settle(claim, Completed())
        claim = await lab.take(expected)


async def each_blocked_task_is_admitted_by_its_own_limit(lab: Lab) -> None:
    """Rule 14.3: until one does not fit."""
    claim = await lab.start(limit=Limit("k", 1))
    strict = await lab.add(limit=Limit("k", 1), priority=5)
    loose = [await lab.add(limit=Limit("k", 3), priority=1) for _ in range(3)]
    assert await lab.states(strict, *loose) == [
        State.BLOCKED,
        State.PENDING,
        State.PENDING,
        State.BLOCKED,
    ]
    await lab.settle(claim, Completed())
    assert await lab.states(strict, loose[2]) == [State.BLOCKED, State.BLOCKED]
    await lab.engine.cancel(loose[:2])
    assert await lab.states(strict, loose[2]) == [State.PENDING, State.PENDING]


async def no_slot_leaks_over_a_long_life(lab: Lab) -> None:
    """Section 14: slots are counted from states, so none can leak."""
    ids = [await lab.add(limit=TWO, max_attempts=50) for _ in range(5)]
    outcomes: tuple[Outcome, ...] = (
        Retried(BROKE),
        Released(),
        Snoozed(timedelta(0)),
        Retried(BROKE, MINUTE),
        Snoozed(MINUTE),
        Waiting(()),
    )
    for step in range(30):
        claims = await lab.claim(alone=5)
        assert 1 <= len(claims) <= 2
        if step % 7 == 6:
            lab.clock.advance(DEFAULT_LEASE + TICK)
            await lab.engine.reclaim(10)
        for claim in claims:
            await lab.settle(claim, outcomes[step % len(outcomes)])
        lab.clock.advance(MINUTE)
        await lab.engine.promote(10)
    done: set[str] = set()
    while claims := await lab.claim(alone=5):
        for claim in claims:
            assert await lab.settle(claim, Completed()) is State.COMPLETED
            done.add(claim.ref.task_id)
    assert done == set(ids)


async def keys_take_turns_however_much_one_of_them_has(lab: Lab) -> None:
    """Rule 14.3: an admitted task is due from then, behind what other keys have waiting."""
    flood = [lab.new(limit=Limit("flood", 2)) for _ in range(50)]
    await lab.enqueue(*flood)
    running = await lab.claim(2)
    lab.clock.advance(TICK)
    one = await lab.add(limit=Limit("one", 2))
    lab.clock.advance(TICK)
    for claim in running:
        await lab.settle(claim, Completed())
    admitted = await lab.task(flood[2].id)
    assert (admitted.state, admitted.run_at) == (State.PENDING, lab.now())
    assert await lab.claimed(1) == [one]
    assert await lab.claimed(2) == [flood[2].id, flood[3].id]


async def a_task_that_goes_back_keeps_its_place_before_admitted_ones(lab: Lab) -> None:
    """Rules 4 and 14.3: only admission from the line changes when it is due."""
    claim = await lab.start(limit=ONE)
    due = (await lab.task(claim.ref.task_id)).run_at
    lab.clock.advance(MINUTE)
    await lab.settle(claim, Released())
    assert (await lab.task(claim.ref.task_id)).run_at == due
