"""Rules about expired leases and crashes: docs/engine.md, section 7."""

from datetime import timedelta

from tidemill.engine import MAX_CRASHES, Reclaimed
from tidemill.outcome import Completed, Released, Retried
from tidemill.task import DEFAULT_LEASE, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)


async def a_lease_is_not_reclaimed_before_it_has_passed(lab: Lab) -> None:
    """Section 7: lease end < now."""
    claim = await lab.start()
    lab.clock.advance(DEFAULT_LEASE)
    assert await lab.engine.reclaim(10) == []
    lab.clock.advance(TICK)
    [reclaimed] = await lab.engine.reclaim(10)
    assert reclaimed == Reclaimed(claim.ref.task_id, "work", "default", "w1", State.PENDING)
    assert await lab.engine.reclaim(10) == []


async def a_reclaimed_task_runs_again_alone_at_its_old_due_instant(lab: Lab) -> None:
    """Rule 7.3."""
    claim = await lab.start()
    due = (await lab.task(claim.ref.task_id)).run_at
    assert await lab.lose(claim) is State.PENDING
    task = await lab.task(claim.ref.task_id)
    assert (task.alone, task.crashes, task.attempt, task.run_at) == (True, 0, 1, due)
    again = await lab.take(claim.ref.task_id, worker="w2")
    assert (again.alone, again.attempt, again.crashes) == (True, 2, 0)
    assert again.ref.token == claim.ref.token + 1


async def a_lost_attempt_goes_to_the_history(lab: Lab) -> None:
    """Rule 7.3: as `lost`."""
    claim = await lab.start()
    started = lab.now()
    await lab.lose(claim)
    [attempt] = (await lab.task(claim.ref.task_id)).attempts
    assert (attempt.number, attempt.outcome, attempt.worker) == (1, "lost", "w1")
    assert (attempt.started_at, attempt.ended_at) == (started, lab.now())
    assert attempt.error is not None
    assert attempt.error.type == "WorkerLost"


async def a_task_lost_with_its_last_attempt_is_failed(lab: Lab) -> None:
    """Rule 7.2."""
    claim = await lab.start(max_attempts=1)
    assert await lab.lose(claim) is State.FAILED
    task = await lab.task(claim.ref.task_id)
    assert task.error is not None
    assert (task.error.type, task.finished_at) == ("WorkerLost", lab.now())
    assert task.prune_at == lab.now(timedelta(days=30))


async def a_task_lost_with_its_worker_is_not_punished(lab: Lab) -> None:
    """Rule 7.2: whoever ended the worker, it is no crash, also of an attempt that was alone."""
    claim = await lab.start(max_attempts=99)
    for _ in range(MAX_CRASHES + 1):
        assert await lab.lose(claim) is State.PENDING
        claim = await lab.take(claim.ref.task_id)
        assert (claim.alone, claim.crashes) == (True, 0)


async def a_task_that_is_always_lost_ends_with_its_attempts(lab: Lab) -> None:
    """Rule 7.2: without attempts left it is failed as `WorkerLost`."""
    claim = await lab.start(max_attempts=3)
    for _ in range(2):
        assert await lab.lose(claim) is State.PENDING
        claim = await lab.take(claim.ref.task_id)
    assert await lab.lose(claim) is State.FAILED
    error = (await lab.task(claim.ref.task_id)).error
    assert error is not None
    assert error.type == "WorkerLost"


async def crashes_stay_counted_when_a_later_attempt_is_lost(lab: Lab) -> None:
    """Sections 4 and 7: a lost attempt neither adds a crash nor forgives one."""
    claim = await lab.start(max_attempts=99)
    for crashes in range(1, MAX_CRASHES):
        await lab.settle(claim, Retried(BROKE, crashed=True))
        await lab.lose(await lab.take(claim.ref.task_id))
        claim = await lab.take(claim.ref.task_id)
        assert claim.crashes == crashes
    assert await lab.settle(claim, Retried(BROKE, crashed=True)) is State.FAILED


async def an_attempt_alone_that_is_only_released_is_no_crash(lab: Lab) -> None:
    """Section 4, `Released`: handed back untouched."""
    claim = await lab.start()
    await lab.lose(claim)
    await lab.settle(await lab.take(claim.ref.task_id), Released())
    task = await lab.task(claim.ref.task_id)
    assert (task.crashes, task.alone) == (0, True)


async def the_longest_expired_leases_are_reclaimed_first(lab: Lab) -> None:
    """Section 7: oldest first, up to `limit`."""
    ids = [await lab.add() for _ in range(3)]
    claims = {claim.ref.task_id: claim for claim in await lab.claim()}
    for minutes, task_id in zip((3, 1, 2), ids, strict=True):
        await lab.extend(claims[task_id], minutes * MINUTE)
    lab.clock.advance(4 * MINUTE)
    assert await lab.engine.reclaim(0) == []
    assert [each.task_id for each in await lab.engine.reclaim(2)] == [ids[1], ids[2]]
    assert [each.task_id for each in await lab.engine.reclaim(2)] == [ids[0]]


async def what_is_not_running_is_never_reclaimed(lab: Lab) -> None:
    """Section 7: running tasks."""
    done, given_back = [await lab.start() for _ in range(2)]
    await lab.settle(done, Completed())
    await lab.settle(given_back, Released())
    await lab.add(delay=timedelta(days=3))
    lab.clock.advance(timedelta(days=1))
    assert await lab.engine.reclaim(10) == []


async def two_reclaims_and_a_late_settlement_have_one_winner(lab: Lab) -> None:
    """Section 7: the old claim is stale from the reclaim on."""
    claim = await lab.start()
    lab.clock.advance(DEFAULT_LEASE + TICK)
    assert len(await lab.engine.reclaim(10)) == 1
    assert await lab.engine.reclaim(10) == []
    assert await lab.settle(claim, Completed()) is None
    assert await lab.causes(claim.ref.task_id) == ["enqueued", "claimed", "reclaimed"]


async def a_claim_id_does_not_answer_what_was_reclaimed(lab: Lab) -> None:
    """Rule 3.7: tasks still held under it."""
    claim_id = lab.claim_id()
    claim = await lab.take(await lab.add(), claim_id=claim_id)
    await lab.lose(claim)
    assert await lab.claim(claim_id=claim_id, alone=1) == []
