"""Rules about the order of single tasks, for engines that keep it: engine.md, rules 3.2-3.4."""

from datetime import timedelta

from tidemill.outcome import Released, Retried
from tidemill.task import DEFAULT_LEASE
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)


async def claims_follow_priority_then_due_then_id(lab: Lab) -> None:
    """Rule 3.2."""
    plan = [(5, -1), (5, -3), (9, 0), (5, -3), (0, -9), (5, -2), (9, -1)]
    made = [
        (-priority, minutes, await lab.add(priority=priority, run_at=lab.now(minutes * MINUTE)))
        for priority, minutes in plan
    ]
    wanted = [task_id for *_, task_id in sorted(made)]
    assert [await lab.claimed(1) for _ in wanted] == [[task_id] for task_id in wanted]


async def one_claim_answers_in_claim_order(lab: Lab) -> None:
    """Rule 3.4: by priority, due, id, also over several queues."""
    made = [
        (
            -priority,
            -minutes,
            await lab.add(queue=q, priority=priority, run_at=lab.now(-minutes * MINUTE)),
        )
        for q, priority, minutes in [
            ("b", 1, 5),
            ("a", 9, 1),
            ("b", 9, 2),
            ("a", 5, 0),
            ("c", 5, 0),
        ]
    ]
    assert await lab.claimed() == [task_id for *_, task_id in sorted(made)]


async def tasks_of_one_instant_are_claimed_by_id(lab: Lab) -> None:
    """Rule 3.2: whatever the order of enqueueing."""
    tasks = [lab.new() for _ in range(6)]
    await lab.enqueue(*reversed(tasks[:3]), *reversed(tasks[3:]))
    assert await lab.claimed(4) == [task.id for task in tasks[:4]]
    assert await lab.claimed(4) == [task.id for task in tasks[4:]]


async def a_promoted_task_takes_the_place_of_its_due_instant(lab: Lab) -> None:
    """Rule 3.2: due, not the moment of promotion."""
    delayed = await lab.add(delay=MINUTE)
    lab.clock.advance(2 * MINUTE)
    plain = await lab.add()
    await lab.engine.promote(10)
    assert await lab.claimed() == [delayed, plain]


async def a_released_task_keeps_its_place(lab: Lab) -> None:
    """Section 4: admission with its old due."""
    claim = await lab.start()
    lab.clock.advance(MINUTE)
    later = await lab.add()
    await lab.settle(claim, Released())
    assert await lab.claimed() == [claim.ref.task_id, later]


async def a_retried_task_goes_behind_those_that_became_due_before(lab: Lab) -> None:
    """Rule 4.6: due is now + delay."""
    claim = await lab.start()
    lab.clock.advance(MINUTE)
    waiting = await lab.add()
    lab.clock.advance(MINUTE)
    await lab.settle(claim, Retried(BROKE))
    assert await lab.claimed() == [waiting, claim.ref.task_id]


async def a_reclaimed_task_keeps_its_place(lab: Lab) -> None:
    """Rule 7.3: due unchanged; rule 3.3: merged in claim order."""
    claim = await lab.start()
    lab.clock.advance(DEFAULT_LEASE)
    later = await lab.add()
    lab.clock.advance(TICK)
    await lab.engine.reclaim(10)
    assert await lab.claimed(alone=1) == [claim.ref.task_id, later]


async def alone_tasks_are_merged_with_the_others_in_claim_order(lab: Lab) -> None:
    """Rule 3.3: the first `limit` that are not alone and the first `alone` that are."""
    for priority in (2, 8, 5):
        await lab.add(priority=priority)
    lost = {claim.priority: claim.ref.task_id for claim in await lab.claim()}
    lab.clock.advance(DEFAULT_LEASE + TICK)
    await lab.engine.reclaim(10)
    others = {priority: await lab.add(priority=priority) for priority in (1, 6, 9)}
    assert await lab.claimed(3, alone=2) == [others[9], lost[8], others[6]]
    assert await lab.claimed(3, alone=1) == [lost[5], others[1]]
    assert await lab.claimed(3, alone=1) == [lost[2]]
