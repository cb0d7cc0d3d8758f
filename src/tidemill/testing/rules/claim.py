"""Rules about claiming: docs/engine.md, sections 3 and 12."""

from datetime import timedelta

from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed, Released, Retried, Snoozed
from tidemill.task import DEFAULT_LEASE, ClaimRef, Limit, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)


async def only_pending_tasks_are_claimed(lab: Lab) -> None:
    """Rule 3.1."""
    pending = await lab.add(limit=Limit("k", 1))
    await lab.add(limit=Limit("k", 1))
    await lab.add(delay=MINUTE)
    await lab.engine.cancel([await lab.add()])
    assert await lab.claimed() == [pending]
    assert await lab.claimed() == []


async def a_task_past_due_is_not_claimed_before_it_is_promoted(lab: Lab) -> None:
    """Rule 3.1: only `pending`; promoting is a step of its own."""
    task_id = await lab.add(delay=MINUTE)
    lab.clock.advance(MINUTE)
    assert await lab.claimed() == []
    await lab.engine.promote(10)
    assert await lab.claimed() == [task_id]


async def a_claim_takes_no_more_than_its_limit(lab: Lab) -> None:
    """Rule 3.3."""
    ids = [await lab.add() for _ in range(5)]
    assert await lab.claimed(0) == []
    first = await lab.claimed(2)
    second = await lab.claimed(10)
    assert len(first) == 2
    assert sorted(first + second) == ids


async def a_higher_priority_is_claimed_first(lab: Lab) -> None:
    """Rule 3.2: holds for engines that order by lane, too."""
    low, high, mid = [await lab.add(priority=each) for each in (0, 10, 5)]
    assert [await lab.claimed(1) for _ in range(3)] == [[high], [mid], [low]]


async def tasks_of_unknown_types_stay_as_they_are(lab: Lab) -> None:
    """Section 12."""
    unknown = await lab.add(task_type="stranger", priority=10)
    known = await lab.add()
    before = await lab.task(unknown)
    assert await lab.claimed(1) == [known]
    assert await lab.task(unknown) == before
    assert await lab.claimed(1, task_types=frozenset({"stranger"})) == [unknown]


async def a_request_without_types_claims_nothing(lab: Lab) -> None:
    """Rule 3.1: of the types named."""
    task_id = await lab.add()
    assert await lab.claimed(task_types=frozenset()) == []
    assert await lab.state(task_id) is State.PENDING


async def a_claim_says_how_long_its_task_was_due(lab: Lab) -> None:
    """The seam: `Claim.waited`, from due to claimed, the same when the claim is repeated."""
    await lab.add()
    await lab.add(delay=MINUTE)
    lab.clock.advance(3 * MINUTE)
    await lab.engine.promote(10)
    claim_id = lab.claim_id()
    claims = await lab.claim(claim_id=claim_id)
    assert sorted(claim.waited for claim in claims) == [2 * MINUTE, 3 * MINUTE]
    lab.clock.advance(TICK)
    assert await lab.claim(claim_id=claim_id) == claims


async def a_claim_carries_what_running_the_task_needs(lab: Lab) -> None:
    """The seam: `Claim`."""
    new = lab.new(
        payload=b"\x00x",
        priority=6,
        max_attempts=2,
        timeout=MINUTE,
        soft_timeout=timedelta(seconds=50),
        user_id="u",
        project_id="p",
        tags=("t",),
        parent_id="00000000-0000-7000-8000-00000000dada",
        headers={"a": "b"},
    )
    await lab.enqueue(new)
    claim_id = lab.claim_id()
    [claim] = await lab.claim(claim_id=claim_id)
    assert claim.ref == ClaimRef(new.id, 1, claim_id, new.queue)
    for field in (
        "task_type payload queue priority timeout soft_timeout user_id project_id tags parent_id"
        " headers"
    ).split():
        assert getattr(claim, field) == getattr(new, field), field
    assert (claim.attempt, claim.attempt_limit, claim.alone, claim.crashes) == (1, 2, False, 0)


async def a_claim_is_recorded_in_the_task(lab: Lab) -> None:
    """Rule 3.6."""
    task_id = await lab.add()
    lab.clock.advance(MINUTE)
    await lab.take(task_id, worker="w7")
    task = await lab.task(task_id)
    assert (task.state, task.worker, task.attempt) == (State.RUNNING, "w7", 1)
    assert (task.started_at, task.enqueued_at) == (lab.now(), lab.now(-MINUTE))
    [attempt] = task.attempts
    assert (attempt.number, attempt.worker, attempt.started_at) == (1, "w7", lab.now())
    assert (attempt.ended_at, attempt.outcome, attempt.error) == (None, None, None)


async def the_token_rises_with_every_claim_whatever_happened_between(lab: Lab) -> None:
    """Rules 3.6 and 4.5: over retry, snooze, release, reclaim and manual retry."""
    claim = await lab.start()
    tokens = [claim.ref.token]
    task_id = claim.ref.task_id
    for outcome in (Retried(BROKE), Snoozed(timedelta(0)), Released()):
        assert await lab.settle(claim, outcome) is State.PENDING
        claim = await lab.take(task_id)
        tokens.append(claim.ref.token)
    await lab.lose(claim)
    claim = await lab.take(task_id)
    tokens.append(claim.ref.token)
    await lab.engine.cancel([task_id])
    await lab.settle(claim, Released())
    await lab.engine.retry([task_id])
    tokens.append((await lab.take(task_id)).ref.token)
    assert tokens == [1, 2, 3, 4, 5, 6]


async def the_requests_lease_counts_from_the_claim(lab: Lab) -> None:
    """Rule 3.6."""
    claim = await lab.take(await lab.add(), lease=MINUTE)
    lab.clock.advance(MINUTE)
    assert await lab.engine.reclaim(10) == []
    lab.clock.advance(TICK)
    assert [each.task_id for each in await lab.engine.reclaim(10)] == [claim.ref.task_id]


async def the_queues_own_lease_replaces_the_requests(lab: Lab) -> None:
    """Rule 3.6."""
    await lab.engine.configure([QueueDefinition("slow", lease=10 * MINUTE)])
    slow, plain = await lab.add(queue="slow"), await lab.add()
    await lab.claim(lease=MINUTE)
    lab.clock.advance(MINUTE + TICK)
    assert [each.task_id for each in await lab.engine.reclaim(10)] == [plain]
    lab.clock.advance(9 * MINUTE)
    assert [each.task_id for each in await lab.engine.reclaim(10)] == [slow]


async def repeating_a_claim_id_answers_the_same_claims_and_takes_no_more(lab: Lab) -> None:
    """Rule 3.7: in the same order, and without a second token."""
    for priority in (1, 9, 5):
        await lab.add(priority=priority)
    claim_id = lab.claim_id()
    first = await lab.claim(3, claim_id=claim_id)
    await lab.add()
    assert await lab.claim(10, claim_id=claim_id) == first
    assert len(first) == 3


async def a_repeated_claim_answers_only_what_is_still_held(lab: Lab) -> None:
    """Rule 3.7."""
    for _ in range(4):
        await lab.add()
    claim_id = lab.claim_id()
    done, released, kept, again = await lab.claim(4, claim_id=claim_id)
    await lab.settle(done, Completed())
    await lab.settle(released, Released())
    await lab.settle(again, Released())
    await lab.claim(1, worker="w2")
    assert await lab.claim(4, claim_id=claim_id) == [kept]


async def a_claim_id_that_took_nothing_is_remembered(lab: Lab) -> None:
    """Rule 3.7: also when it took nothing."""
    claim_id = lab.claim_id()
    assert await lab.claim(claim_id=claim_id) == []
    task_id = await lab.add()
    assert await lab.claim(claim_id=claim_id) == []
    assert await lab.claimed() == [task_id]


async def a_claim_id_is_remembered_over_an_hour_and_63_later_claims(lab: Lab) -> None:
    """Rule 3.7: for an hour or 64 later claims of its worker, whatever others claim."""
    later_claims = 63
    claim_id = lab.claim_id()
    claim = await lab.take(await lab.add(), claim_id=claim_id)
    await lab.settle(claim, Completed())
    await lab.enqueue(*(lab.new() for _ in range(2 * later_claims)))
    for _ in range(later_claims):
        lab.clock.advance(60 * MINUTE / later_claims)
        assert len(await lab.claim(1, worker="w1")) == 1
        assert len(await lab.claim(1, worker="w2")) == 1
        await lab.engine.prune(10)
        await lab.engine.promote(10)
    waits = await lab.add()
    assert await lab.claim(claim_id=claim_id) == []
    assert await lab.claimed() == [waits]


async def an_expired_task_is_cancelled_and_not_answered(lab: Lab) -> None:
    """Rule 3.5: at its instant, not before."""
    in_time = await lab.add(priority=9, expires_at=lab.now(MINUTE + TICK))
    too_late = await lab.add(priority=9, expires_at=lab.now(MINUTE))
    plain = await lab.add()
    lab.clock.advance(MINUTE)
    assert sorted(await lab.claimed()) == [in_time, plain]
    task = await lab.task(too_late)
    assert (task.state, task.reason, task.attempt) == (State.CANCELLED, "expired", 0)
    assert (task.finished_at, task.started_at) == (lab.now(), None)
    assert await lab.causes(too_late) == ["enqueued", "expired"]


async def an_expired_task_out_of_reach_does_not_disturb_a_claim(lab: Lab) -> None:
    """Rule 3.5: only when a claim comes upon it: not in a paused queue, not of another type."""
    paused = await lab.add(queue="a", expires_at=lab.now())
    unknown = await lab.add(queue="b", task_type="stranger", expires_at=lab.now())
    await lab.engine.cancel([await lab.add(queue="c")])
    await lab.engine.pause("a", paused=True)
    assert await lab.claimed() == []
    plain = await lab.add(queue="d")
    assert await lab.claimed() == [plain]
    assert await lab.states(paused, unknown) == [State.PENDING, State.PENDING]


async def a_task_that_started_in_time_never_expires(lab: Lab) -> None:
    """`NewTask.expires_at`: a task not started by then."""
    claim = await lab.start(expires_at=lab.now(MINUTE))
    lab.clock.advance(2 * MINUTE)
    await lab.engine.promote(10)
    assert await lab.state(claim.ref.task_id) is State.RUNNING
    assert await lab.settle(claim, Completed()) is State.COMPLETED


async def no_task_is_in_two_claims(lab: Lab) -> None:
    """The seam: exclusively."""
    ids = [await lab.add() for _ in range(10)]
    taken = [task_id for _ in range(6) for task_id in await lab.claimed(2)]
    assert sorted(taken) == ids


async def alone_tasks_are_claimed_only_by_those_who_ask_for_them(lab: Lab) -> None:
    """Rule 3.3: at most `alone` of them."""
    lost = [await lab.add() for _ in range(3)]
    await lab.claim()
    lab.clock.advance(DEFAULT_LEASE + TICK)
    await lab.engine.reclaim(10)
    plain = await lab.add()
    assert await lab.claimed(10) == [plain]
    two = await lab.claim(10, alone=2)
    assert [claim.alone for claim in two] == [True, True]
    assert {claim.ref.task_id for claim in two} < set(lost)
    assert len(await lab.claim(10, alone=5)) == 1


async def alone_tasks_count_towards_the_limit_of_the_claim(lab: Lab) -> None:
    """Rule 3.3: merged, and up to `limit` tasks in all."""
    await lab.start()
    lab.clock.advance(DEFAULT_LEASE + TICK)
    await lab.engine.reclaim(10)
    await lab.add()
    await lab.add()
    assert len(await lab.claim(2, alone=1)) == 2
    assert len(await lab.claim(2, alone=1)) == 1
