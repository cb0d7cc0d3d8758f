"""Rules about the history of attempts: docs/engine.md, "The record"."""

from datetime import timedelta

from tidemill.engine import Retrial
from tidemill.outcome import Completed, Failed, Released, Retried, Snoozed, Waiting
from tidemill.task import Attempt, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)


async def the_history_tells_every_ended_attempt_and_the_last_one(lab: Lab) -> None:
    """The record: the last attempt is the record itself."""
    task_id = await lab.add()
    first_at = lab.now()
    first = await lab.take(task_id, worker="w1")
    lab.clock.advance(MINUTE)
    await lab.settle(first, Retried(BROKE))
    second_at = lab.now()
    second = await lab.take(task_id, worker="w2")
    running = await lab.task(task_id)
    lab.clock.advance(MINUTE)
    await lab.settle(second, Completed())
    ended = await lab.task(task_id)
    past = Attempt(
        number=1,
        worker="w1",
        started_at=first_at,
        ended_at=second_at,
        outcome="retried",
        error=BROKE,
    )
    assert running.attempts == (past, Attempt(number=2, worker="w2", started_at=second_at))
    assert ended.attempts == (
        past,
        Attempt(
            number=2, worker="w2", started_at=second_at, ended_at=lab.now(), outcome="completed"
        ),
    )


async def a_failed_attempt_tells_its_error(lab: Lab) -> None:
    """The record."""
    claim = await lab.start()
    await lab.settle(claim, Failed(BROKE))
    [attempt] = (await lab.task(claim.ref.task_id)).attempts
    assert (attempt.outcome, attempt.error) == ("failed", BROKE)


async def a_task_waiting_for_its_next_attempt_tells_the_one_before(lab: Lab) -> None:
    """The record: ended attempts that are followed by another go to the history."""
    claim = await lab.start()
    await lab.settle(claim, Retried(BROKE, MINUTE))
    assert [past.number for past in (await lab.task(claim.ref.task_id)).attempts] == [1]


async def attempts_that_do_not_count_leave_no_history(lab: Lab) -> None:
    """The record: claims minus those released, snoozed or waiting."""
    claim = await lab.start()
    for outcome in (Snoozed(timedelta(0)), Released(), Waiting(())):
        await lab.settle(claim, outcome)
        task = await lab.task(claim.ref.task_id)
        assert (task.attempt, task.attempts) == (0, ())
        claim = await lab.take(claim.ref.task_id)
    assert claim.attempt == 1


async def attempt_numbers_are_contiguous_from_one(lab: Lab) -> None:
    """The record: also over lost attempts, snoozes and a manual retry."""
    claim = await lab.start(max_attempts=3)
    task_id = claim.ref.task_id
    await lab.settle(claim, Retried(BROKE))
    await lab.lose(await lab.take(task_id))
    await lab.settle(await lab.take(task_id), Snoozed(timedelta(0)))
    assert await lab.settle(await lab.take(task_id), Retried(BROKE)) is State.FAILED
    assert await lab.engine.retry([task_id]) == [Retrial.RETRIED]
    await lab.settle(await lab.take(task_id), Completed())
    attempts = (await lab.task(task_id)).attempts
    assert [past.number for past in attempts] == [1, 2, 3, 4]
    assert [past.outcome for past in attempts] == ["retried", "lost", "failed", "completed"]


async def a_repeated_claim_starts_no_second_attempt(lab: Lab) -> None:
    """Rule 3.7."""
    claim_id = lab.claim_id()
    claim = await lab.take(await lab.add(), claim_id=claim_id)
    await lab.claim(claim_id=claim_id)
    task = await lab.task(claim.ref.task_id)
    assert (task.attempt, len(task.attempts)) == (1, 1)
    assert await lab.settle(claim, Completed()) is State.COMPLETED
