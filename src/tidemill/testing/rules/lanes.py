"""Rules about lanes: the order in them and between queues. docs/engine.md, rules 3.2-3.4.

The first ones hold for every engine, the others for those that order by lane.
"""

from collections import Counter
from datetime import timedelta

from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed, Outcome, Released, Retried, Snoozed, Waiting
from tidemill.task import DEFAULT_LEASE, Limit
from tidemill.testing.builders import BROKE, PLAIN_TYPE
from tidemill.testing.lab import NO_TIME, TICK, Lab

MINUTE = timedelta(minutes=1)
BOTH_TYPES = frozenset({PLAIN_TYPE, "mail"})


async def nothing_of_a_lower_priority_is_claimed_while_a_higher_one_is_ready(lab: Lab) -> None:
    """Rule 3.2: strictly, whatever the weights, the batch and the order of coming."""
    for priority in (5, 0, 5, 10, 0) * 6:
        await lab.add(priority=priority)
    first = [claim.priority for _ in range(2) for claim in await lab.claim(4)]
    await lab.add(priority=10)
    await lab.add(priority=3)
    rest = [claim.priority for _ in range(6) for claim in await lab.claim(4)]
    assert first == [10] * 6 + [5] * 2
    assert rest == [10] + [5] * 10 + [3] + [0] * 12


async def a_flooded_queue_starves_no_other(lab: Lab) -> None:
    """Rule 3.4: whatever their priorities; by weight, with time to spare for a rough rotation."""
    await lab.engine.configure([QueueDefinition("heavy", weight=4)])
    for limit in (1, 4):
        await lab.enqueue(*(lab.new(queue="flooded", priority=10) for _ in range(100)))
        await lab.enqueue(*(lab.new(queue="heavy") for _ in range(20)))
        await lab.enqueue(*(lab.new(queue="plain", priority=0) for _ in range(5)))
        taken: Counter[str] = Counter()
        while taken.total() < 60:
            claims = await lab.claim(limit)
            assert len(claims) == limit
            taken.update(claim.queue for claim in claims)
        assert (taken["heavy"], taken["plain"]) == (20, 5)
        await lab.claim()


async def a_lane_is_claimed_in_the_order_its_tasks_became_pending(lab: Lab) -> None:
    """Rule 3.2: neither the due instant nor the id decides."""
    delayed = await lab.add(delay=MINUTE)
    young, old = lab.new(), lab.new(run_at=lab.now(-MINUTE))
    early = lab.new()
    await lab.enqueue(young, old, early)
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    last = await lab.add(run_at=lab.now(-MINUTE))
    wanted = [young.id, old.id, early.id, delayed, last]
    assert [await lab.claimed(1) for _ in wanted] == [[task_id] for task_id in wanted]


async def a_task_that_runs_again_goes_to_the_end_of_its_lane(lab: Lab) -> None:
    """Rule 3.2: it becomes pending anew, and a repeated claim answers in the order it took."""
    outcomes: tuple[Outcome, ...] = (Retried(BROKE), Snoozed(NO_TIME), Released(), Waiting(()))
    for number, outcome in enumerate(outcomes):
        queue = f"q{number}"
        again = await lab.start(queue=queue)
        waiting = await lab.add(queue=queue)
        await lab.settle(again, outcome)
        behind = await lab.add(queue=queue)
        claim_id = lab.claim_id()
        claims = await lab.claim(claim_id=claim_id)
        assert [claim.ref.task_id for claim in claims] == [waiting, again.ref.task_id, behind]
        assert await lab.claim(claim_id=claim_id) == claims


async def alone_tasks_stand_before_the_others_of_their_lane(lab: Lab) -> None:
    """Rule 3.2: a task that was lost with its worker does not wait behind a backlog again."""
    lost = await lab.start()
    lab.clock.advance(DEFAULT_LEASE + TICK)
    before = await lab.add()
    await lab.engine.reclaim(10)
    after = await lab.add()
    assert await lab.claimed(2, alone=1) == [lost.ref.task_id, before]
    assert await lab.claimed(2, alone=1) == [after]


async def tasks_of_unknown_types_keep_their_place_in_their_lane(lab: Lab) -> None:
    """Rule 3.2 and section 12: whoever passes over them."""
    mail, work, more_mail, more_work = [
        await lab.add(task_type=each) for each in ("mail", PLAIN_TYPE) * 2
    ]
    assert await lab.claimed(1) == [work]
    assert await lab.claimed(task_types=BOTH_TYPES) == [mail, more_mail, more_work]


async def tasks_let_in_by_a_limit_arrive_then(lab: Lab) -> None:
    """Rules 3.2 and 14.3: the line at a limit is ordered by due, the lane by arrival."""
    holder = await lab.start(limit=Limit("k", 1))
    blocked = await lab.add(limit=Limit("k", 1))
    due_before = await lab.add(limit=Limit("k", 1), run_at=lab.now(-MINUTE))
    plain = await lab.add()
    await lab.settle(holder, Completed())
    assert await lab.claimed(1) == [plain]
    claim = await lab.take(due_before)
    await lab.settle(claim, Completed())
    assert await lab.claimed() == [blocked]


async def one_claim_answers_by_priority_then_arrival(lab: Lab) -> None:
    """Rule 3.4: also over several queues, and again when it is repeated."""
    tasks = [
        lab.new(queue=queue, priority=priority)
        for queue, priority in [("b", 1), ("a", 9), ("b", 9), ("a", 5), ("c", 5), ("a", 9)]
    ]
    tasks.reverse()
    await lab.enqueue(*tasks)
    wanted = sorted(tasks, key=lambda task: -task.priority)
    claim_id = lab.claim_id()
    claims = await lab.claim(claim_id=claim_id)
    assert [claim.ref.task_id for claim in claims] == [task.id for task in wanted]
    assert await lab.claim(claim_id=claim_id) == claims
