"""Rules about stale claims: docs/engine.md, sections 4 and 5, design rule 5."""

from datetime import timedelta

import msgspec

from tidemill.engine import Hold
from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Settlement,
    Snoozed,
    Waiting,
)
from tidemill.task import DEFAULT_LEASE, Claim, LogLine, Progress, State
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)
EVERY_OUTCOME: tuple[Outcome, ...] = (
    Completed(b"stale"),
    Failed(BROKE),
    Retried(BROKE),
    Retried(BROKE, MINUTE, crashed=True),
    Cancelled("stale"),
    Snoozed(MINUTE),
    Waiting(()),
    Released(),
)


def _forged(claim: Claim, **changes: object) -> Claim:
    return msgspec.structs.replace(claim, ref=msgspec.structs.replace(claim.ref, **changes))


async def _changes_nothing(lab: Lab, stale: Claim) -> None:
    """A stale claim is refused by settle and extend, with all that they carry."""
    everything, feed = await lab.find(), await lab.feed()
    stats = await lab.engine.stats()
    progress, logs = Progress(99.0, "stale"), (LogLine(lab.now(), "error", "stale", 1),)
    for outcome in EVERY_OUTCOME:
        assert await lab.settle(stale, outcome) is None, outcome
        child = lab.new(queue="stale")
        answer = await lab.settle(stale, outcome, enqueue=(child,), progress=progress, logs=logs)
        assert answer is None, outcome
    assert await lab.extend(stale, MINUTE, progress=progress, logs=logs) is Hold.LOST
    assert await lab.find() == everything
    assert await lab.feed() == feed
    assert (await lab.engine.stats()).counts == stats.counts


async def the_claim_before_a_reclaim_changes_nothing_afterwards(lab: Lab) -> None:
    """Section 7: stale from then on; unfenced engines write over the next attempt here."""
    claim = await lab.start()
    assert await lab.lose(claim) is State.PENDING
    await _changes_nothing(lab, claim)


async def the_claim_before_the_present_one_changes_nothing(lab: Lab) -> None:
    """Section 4: a claim is held while the record carries its token and claim id."""
    old = await lab.start()
    await lab.lose(old)
    present = await lab.take(old.ref.task_id, worker="w2")
    await _changes_nothing(lab, old)
    assert await lab.settle(present, Completed(b"right")) is State.COMPLETED
    await _changes_nothing(lab, old)
    assert (await lab.task(old.ref.task_id)).result == b"right"


async def a_claim_from_before_a_retry_changes_nothing(lab: Lab) -> None:
    """Section 4: the settled claim of an attempt that was followed by another."""
    old = await lab.start()
    await lab.settle(old, Retried(BROKE))
    await lab.take(old.ref.task_id)
    await _changes_nothing(lab, old)


async def a_claim_from_before_a_snooze_changes_nothing(lab: Lab) -> None:
    """Rule 4.5: the token rises over a snooze, so two claims never look alike."""
    old = await lab.start()
    await lab.settle(old, Snoozed(timedelta(0)))
    await lab.take(old.ref.task_id)
    await _changes_nothing(lab, old)


async def a_claim_from_before_a_release_changes_nothing(lab: Lab) -> None:
    """Rule 4.5: a released task keeps its token."""
    old = await lab.start()
    await lab.settle(old, Released())
    await lab.take(old.ref.task_id)
    await _changes_nothing(lab, old)


async def the_right_token_with_another_claim_id_is_stale(lab: Lab) -> None:
    """`ClaimRef`: a token that was lost in a failover is handed out again, a claim id never is."""
    claim = await lab.start()
    await _changes_nothing(lab, _forged(claim, claim_id=lab.claim_id()))
    assert await lab.settle(claim, Completed()) is State.COMPLETED


async def the_right_claim_id_with_another_token_is_stale(lab: Lab) -> None:
    """Section 4: both must hold."""
    claim = await lab.start()
    await _changes_nothing(lab, _forged(claim, token=claim.ref.token - 1))
    await _changes_nothing(lab, _forged(claim, token=claim.ref.token + 1))
    assert await lab.settle(claim, Completed()) is State.COMPLETED


async def a_claim_of_an_unknown_task_is_stale(lab: Lab) -> None:
    """Section 4."""
    claim = await lab.start()
    await _changes_nothing(lab, _forged(claim, task_id=numbered_id(404_404)))


async def a_claim_of_a_task_that_never_ran_is_stale(lab: Lab) -> None:
    """Section 4: a waiting task has no claim, also none with token 0."""
    claim = await lab.start()
    waiting = await lab.add()
    await _changes_nothing(lab, _forged(claim, task_id=waiting, token=0))
    await _changes_nothing(lab, _forged(claim, task_id=waiting))


async def a_claim_of_a_removed_task_is_stale(lab: Lab) -> None:
    """Section 4."""
    claim = await lab.start()
    await lab.settle(claim, Completed())
    await lab.engine.remove([claim.ref.task_id])
    await _changes_nothing(lab, claim)


async def a_claim_from_before_a_manual_retry_is_stale(lab: Lab) -> None:
    """Section 4: as long as nothing claimed, reclaimed or retried it since."""
    claim = await lab.start()
    await lab.settle(claim, Failed(BROKE))
    await lab.engine.retry([claim.ref.task_id])
    await _changes_nothing(lab, claim)


async def settling_twice_is_settling_once(lab: Lab) -> None:
    """Section 4: a claim which already settled its task answers the state and changes nothing."""
    for number, outcome in enumerate(EVERY_OUTCOME):
        claim = await lab.start(queue=f"q{number}", max_attempts=9)
        child = lab.new(queue="children", delay=MINUTE)
        settlement = Settlement(
            claim.ref,
            outcome,
            enqueue=(child,),
            progress=Progress(50.0),
            logs=(LogLine(lab.now(), "info", "once", 1),),
        )
        [state] = await lab.engine.settle([settlement])
        assert state is not None
        once, feed = await lab.find(), await lab.feed()
        assert await lab.engine.settle([settlement, settlement]) == [state, state]
        assert await lab.find() == once
        assert await lab.feed() == feed
        await lab.engine.cancel([claim.ref.task_id])


async def a_bare_completion_twice_is_one(lab: Lab) -> None:
    """Section 4, of a task that has nothing special and brings nothing along."""
    for result in (None, b"result"):
        claim = await lab.start()
        assert await lab.settle(claim, Completed(result)) is State.COMPLETED
        once, feed = await lab.find(), await lab.feed()
        lab.clock.advance(TICK)
        assert await lab.settle(claim, Completed(result)) is State.COMPLETED
        assert await lab.find() == once
        assert await lab.feed() == feed


async def the_same_settlement_twice_in_one_batch_is_one(lab: Lab) -> None:
    """Section 4: in order."""
    claim = await lab.start()
    settlement = Settlement(claim.ref, Retried(BROKE))
    assert await lab.engine.settle([settlement, settlement]) == [State.PENDING, State.PENDING]
    assert await lab.causes(claim.ref.task_id) == ["enqueued", "claimed", "retried"]


async def a_second_settlement_with_another_outcome_changes_nothing(lab: Lab) -> None:
    """Section 4: the first outcome of a claim stands."""
    claim = await lab.start()
    assert await lab.settle(claim, Completed(b"first")) is State.COMPLETED
    before = await lab.task(claim.ref.task_id)
    assert await lab.settle(claim, Failed(BROKE)) is State.COMPLETED
    assert await lab.task(claim.ref.task_id) == before


async def a_repeated_settlement_answers_the_present_state(lab: Lab) -> None:
    """Section 4: promoted or cancelled since is not claimed, reclaimed or retried since."""
    claim = await lab.start()
    await lab.settle(claim, Retried(BROKE, MINUTE))
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    assert await lab.settle(claim, Retried(BROKE, MINUTE)) is State.PENDING
    await lab.engine.cancel([claim.ref.task_id])
    assert await lab.settle(claim, Retried(BROKE, MINUTE)) is State.CANCELLED


async def a_settled_claim_cannot_be_extended(lab: Lab) -> None:
    """Section 5: not held is lost, whether or not the task has ended."""
    for number, outcome in enumerate(EVERY_OUTCOME):
        claim = await lab.start(queue=f"q{number}", max_attempts=9)
        await lab.settle(claim, outcome)
        before = await lab.task(claim.ref.task_id)
        late = await lab.extend(claim, progress=Progress(1.0))
        assert late is Hold.LOST, outcome
        assert await lab.task(claim.ref.task_id) == before
        await lab.engine.cancel([claim.ref.task_id])


async def a_late_settlement_before_the_reclaim_wins(lab: Lab) -> None:
    """Section 7: a lease ends when it is reclaimed, not when it expires."""
    claim = await lab.start()
    lab.clock.advance(DEFAULT_LEASE + MINUTE)
    assert await lab.settle(claim, Completed(b"late")) is State.COMPLETED
    assert await lab.engine.reclaim(10) == []


async def a_late_extension_before_the_reclaim_wins(lab: Lab) -> None:
    """Section 5: an expired lease that was not reclaimed is held."""
    claim = await lab.start()
    lab.clock.advance(DEFAULT_LEASE + TICK)
    assert await lab.extend(claim, MINUTE) is Hold.HELD
    assert await lab.engine.reclaim(10) == []
    assert await lab.settle(claim, Completed()) is State.COMPLETED


async def a_stale_settlement_in_a_batch_does_not_disturb_the_others(lab: Lab) -> None:
    """Section 4: for each settlement in order."""
    stale = await lab.start()
    await lab.lose(stale)
    await lab.add()
    [good] = await lab.claim()
    answers = await lab.engine.settle(
        [Settlement(stale.ref, Completed()), Settlement(good.ref, Completed())]
    )
    assert answers == [None, State.COMPLETED]
    assert await lab.state(stale.ref.task_id) is State.PENDING
