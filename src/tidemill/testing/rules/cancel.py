"""Rules about cancelling: docs/engine.md, rule 4.1 and section 6."""

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
from tidemill.task import Limit, State
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)


async def a_waiting_task_is_cancelled_at_once(lab: Lab) -> None:
    """Section 6: scheduled, blocked or pending."""
    pending = await lab.add(limit=Limit("k", 1))
    blocked = await lab.add(limit=Limit("k", 1))
    scheduled = await lab.add(delay=MINUTE)
    ids = [scheduled, blocked, pending]
    assert await lab.engine.cancel(ids, "no longer wanted") == [State.CANCELLED] * 3
    for task_id in ids:
        task = await lab.task(task_id)
        assert (task.state, task.reason) == (State.CANCELLED, "no longer wanted")
        assert (task.finished_at, task.prune_at) == (lab.now(), lab.now(timedelta(days=7)))
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    assert await lab.claimed() == []


async def a_running_task_is_asked_to_stop(lab: Lab) -> None:
    """Section 6: cancel requested, answers `running`."""
    claim = await lab.start()
    assert await lab.engine.cancel([claim.ref.task_id], "stop") == [State.RUNNING]
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.cancel_requested, task.finished_at) == (State.RUNNING, True, None)


async def a_final_task_is_not_changed_by_a_cancel(lab: Lab) -> None:
    """Section 6: answers its state."""
    outcomes: tuple[Outcome, ...] = (Completed(b"x"), Failed(BROKE), Cancelled("first"))
    for number, outcome in enumerate(outcomes):
        claim = await lab.start(queue=f"q{number}")
        state = await lab.settle(claim, outcome)
        before = await lab.task(claim.ref.task_id)
        assert await lab.engine.cancel([claim.ref.task_id], "second") == [state]
        assert await lab.task(claim.ref.task_id) == before


async def cancelling_an_unknown_task_answers_none(lab: Lab) -> None:
    """Section 6, in order within a batch."""
    task_id = await lab.add()
    answers = await lab.engine.cancel([numbered_id(404_404), task_id, task_id])
    assert answers == [None, State.CANCELLED, State.CANCELLED]
    assert await lab.causes(task_id) == ["enqueued", "cancelled"]


async def a_requested_cancel_wins_over_running_again(lab: Lab) -> None:
    """Rule 4.1: with the cancel's reason, and nothing of `enqueue` is made."""
    outcomes: tuple[Outcome, ...] = (
        Retried(BROKE),
        Retried(BROKE, MINUTE),
        Retried(BROKE, crashed=True),
        Snoozed(MINUTE, "snoozed"),
        Waiting(()),
        Released(),
    )
    for number, outcome in enumerate(outcomes):
        claim = await lab.start(queue=f"q{number}")
        await lab.engine.cancel([claim.ref.task_id], "stop")
        child = lab.new(queue="children")
        assert await lab.settle(claim, outcome, enqueue=(child,)) is State.CANCELLED, outcome
        task = await lab.task(claim.ref.task_id)
        assert (task.state, task.reason) == (State.CANCELLED, "stop"), outcome
        assert (task.finished_at, task.prune_at) == (lab.now(), lab.now(timedelta(days=7)))
        assert await lab.state(child.id) is None


async def a_requested_cancel_wins_over_a_failed_last_attempt(lab: Lab) -> None:
    """Rule 4.1: `Retried` ends as cancelled, not as failed."""
    claim = await lab.start(max_attempts=1)
    await lab.engine.cancel([claim.ref.task_id], "stop")
    assert await lab.settle(claim, Retried(BROKE)) is State.CANCELLED


async def a_requested_cancel_does_not_wait_for_children(lab: Lab) -> None:
    """Rule 4.1."""
    child = await lab.add(delay=MINUTE)
    claim = await lab.start()
    await lab.engine.cancel([claim.ref.task_id])
    assert await lab.settle(claim, Waiting((child,))) is State.CANCELLED
    await lab.engine.cancel([child])
    assert await lab.state(claim.ref.task_id) is State.CANCELLED


async def a_requested_cancel_loses_to_completed_and_failed(lab: Lab) -> None:
    """Rule 4.1: every outcome but `Completed` and `Failed`; their tasks are made."""
    outcomes: tuple[Outcome, ...] = (Completed(b"done"), Failed(BROKE))
    for number, outcome in enumerate(outcomes):
        claim = await lab.start(queue=f"q{number}")
        await lab.engine.cancel([claim.ref.task_id], "too late")
        child = lab.new(queue="children")
        state = await lab.settle(claim, outcome, enqueue=(child,))
        task = await lab.task(claim.ref.task_id)
        assert state is task.state
        assert state in {State.COMPLETED, State.FAILED}
        assert await lab.state(child.id) is State.PENDING
        assert (task.result, task.error) in {(b"done", None), (None, BROKE)}


async def an_attempt_that_stops_when_asked_is_cancelled(lab: Lab) -> None:
    """Section 4, `Cancelled`: with the reason that the settlement gives."""
    claim = await lab.start()
    await lab.engine.cancel([claim.ref.task_id], "stop")
    assert await lab.settle(claim, Cancelled("stopped cleanly")) is State.CANCELLED
    assert (await lab.task(claim.ref.task_id)).reason == "stopped cleanly"


async def a_second_cancel_of_a_running_task_changes_nothing(lab: Lab) -> None:
    """Section 11: every verb is safe to repeat; the first reason stands."""
    claim = await lab.start()
    await lab.engine.cancel([claim.ref.task_id], "first")
    before, feed = await lab.task(claim.ref.task_id), await lab.feed()
    assert await lab.engine.cancel([claim.ref.task_id], "second") == [State.RUNNING]
    assert await lab.task(claim.ref.task_id) == before
    assert await lab.feed() == feed
    await lab.settle(claim, Released())
    assert (await lab.task(claim.ref.task_id)).reason == "first"


async def a_requested_cancel_survives_the_worker(lab: Lab) -> None:
    """Rule 7.1."""
    claim = await lab.start()
    await lab.engine.cancel([claim.ref.task_id], "stop")
    assert await lab.lose(claim) is State.CANCELLED
    task = await lab.task(claim.ref.task_id)
    assert (task.reason, task.finished_at) == ("stop", lab.now())
