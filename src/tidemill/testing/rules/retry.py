"""Rules about manual retry and removal: docs/engine.md, section 6."""

from datetime import timedelta

from tidemill.engine import Retrial
from tidemill.outcome import Cancelled, Completed, Failed, Retried
from tidemill.task import Limit, LogLine, Progress, State
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)


async def a_failed_task_gets_a_new_budget_and_its_attempts_keep_rising(lab: Lab) -> None:
    """Retry: attempt limit = attempt + max attempts."""
    claim = await lab.start(max_attempts=2)
    task_id = claim.ref.task_id
    await lab.settle(claim, Retried(BROKE))
    await lab.settle(await lab.take(task_id), Retried(BROKE))
    assert await lab.engine.retry([task_id]) == [Retrial.RETRIED]
    task = await lab.task(task_id)
    assert (task.attempt, task.attempt_limit, task.max_attempts) == (2, 4, 2)
    third = await lab.take(task_id)
    assert (third.attempt, third.attempt_limit) == (3, 4)
    assert await lab.settle(third, Retried(BROKE)) is State.PENDING
    fourth = await lab.take(task_id)
    assert await lab.settle(fourth, Retried(BROKE)) is State.FAILED


async def a_retry_clears_what_the_end_left_behind(lab: Lab) -> None:
    """Retry: crashes 0; alone, cancel, error, result, reason, finished and prune cleared."""
    claim = await lab.start()
    await lab.settle(claim, Retried(BROKE, crashed=True))
    claim = await lab.take(claim.ref.task_id)
    await lab.engine.cancel([claim.ref.task_id], "stop")
    await lab.settle(claim, Failed(BROKE))
    lab.clock.advance(MINUTE)
    await lab.engine.retry([claim.ref.task_id])
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.run_at) == (State.PENDING, lab.now())
    assert (task.crashes, task.alone, task.cancel_requested) == (0, False, False)
    assert (task.error, task.result, task.reason) == (None, None, None)
    assert (task.finished_at, task.prune_at) == (None, None)


async def a_cancelled_task_is_retried(lab: Lab) -> None:
    """Retry: whether it had started or not."""
    never_started = await lab.add(delay=MINUTE)
    await lab.engine.cancel([never_started])
    claim = await lab.start()
    await lab.settle(claim, Cancelled("stop"))
    assert await lab.engine.retry([never_started, claim.ref.task_id]) == [Retrial.RETRIED] * 2
    claims = {each.ref.task_id: each.attempt for each in await lab.claim()}
    assert claims == {never_started: 1, claim.ref.task_id: 2}
    assert (await lab.task(never_started)).attempts[0].number == 1


async def the_last_attempt_before_a_retry_goes_to_the_history(lab: Lab) -> None:
    """Retry: its last attempt goes to the history (if it has one)."""
    claim = await lab.start()
    await lab.settle(claim, Failed(BROKE))
    await lab.engine.retry([claim.ref.task_id])
    [attempt] = (await lab.task(claim.ref.task_id)).attempts
    assert (attempt.number, attempt.outcome, attempt.error) == (1, "failed", BROKE)


async def what_cannot_be_retried_is_answered_and_stays(lab: Lab) -> None:
    """Retry: of a failed or cancelled task only."""
    pending = await lab.add(queue="a")
    scheduled = await lab.add(queue="a", delay=MINUTE)
    completed = await lab.start(queue="b")
    await lab.settle(completed, Completed(b"x"))
    running = await lab.start(queue="b")
    ids = [pending, scheduled, running.ref.task_id, completed.ref.task_id, numbered_id(404_404)]
    before = await lab.find()
    assert await lab.engine.retry(ids) == [
        Retrial.NOT_FINAL,
        Retrial.NOT_FINAL,
        Retrial.NOT_FINAL,
        Retrial.COMPLETED,
        Retrial.NOT_FOUND,
    ]
    assert await lab.find() == before


async def a_second_retry_finds_the_task_already_retried(lab: Lab) -> None:
    """Section 11: safe to repeat: the budget is given once."""
    claim = await lab.start(max_attempts=3)
    await lab.settle(claim, Failed(BROKE))
    assert await lab.engine.retry([claim.ref.task_id] * 2) == [Retrial.RETRIED, Retrial.NOT_FINAL]
    assert (await lab.task(claim.ref.task_id)).attempt_limit == 4


async def a_retried_task_passes_admission(lab: Lab) -> None:
    """Section 14: used by retry."""
    limit = Limit("k", 1)
    claim = await lab.start(limit=limit)
    await lab.settle(claim, Failed(BROKE))
    await lab.add(limit=limit)
    await lab.engine.retry([claim.ref.task_id])
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.blocked_on) == (State.BLOCKED, "limit")


async def only_final_tasks_are_removed(lab: Lab) -> None:
    """Remove: False for those that are not there or not final."""
    final = await lab.start(queue="a")
    await lab.settle(final, Completed())
    running = await lab.start(queue="b")
    scheduled = await lab.add(delay=MINUTE)
    pending = await lab.add()
    ids = [scheduled, final.ref.task_id, pending, running.ref.task_id, final.ref.task_id]
    answers = await lab.engine.remove([*ids, numbered_id(404_404)])
    assert answers == [False, True, False, False, False, False]
    assert await lab.found() == [pending, scheduled, running.ref.task_id]


async def a_removed_task_takes_all_that_belongs_to_it_along(lab: Lab) -> None:
    """Remove: with progress, logs, history; the id is then as good as new."""
    task = lab.new()
    await lab.enqueue(task)
    line = LogLine(lab.now(), "info", "said once", 1)
    await lab.settle(await lab.take(task.id), Retried(BROKE), progress=Progress(1.0), logs=(line,))
    await lab.settle(await lab.take(task.id), Completed(b"x"), logs=(line,))
    assert await lab.engine.remove([task.id]) == [True]
    assert await lab.found() == []
    assert (await lab.causes(task.id))[-1] == "removed"
    await lab.enqueue(task)
    fresh = await lab.task(task.id)
    assert (fresh.state, fresh.attempt) == (State.PENDING, 0)
    assert (fresh.logs, fresh.attempts, fresh.progress, fresh.result) == ((), (), None, None)
