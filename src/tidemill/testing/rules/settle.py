"""Rules about what each outcome leads to: the table of docs/engine.md, section 4."""

from datetime import timedelta

import msgspec

from tidemill.engine import MAX_CRASHES
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
from tidemill.task import LogLine, Progress, Retention, State, TaskError, UniqueKey
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)
KEPT = Retention(completed=MINUTE, failed=2 * MINUTE, cancelled=None)


async def completed_keeps_the_result(lab: Lab) -> None:
    """Section 4, `Completed`."""
    claim = await lab.start(retention=KEPT)
    lab.clock.advance(MINUTE)
    assert await lab.settle(claim, Completed(b'{"sum":3}')) is State.COMPLETED
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.result, task.error) == (State.COMPLETED, b'{"sum":3}', None)
    assert (task.attempt, task.started_at) == (1, lab.now(-MINUTE))


async def completed_removes_the_error_of_an_earlier_attempt(lab: Lab) -> None:
    """Section 4, `Completed`: error removed."""
    claim = await lab.start()
    await lab.settle(claim, Retried(BROKE))
    assert (await lab.task(claim.ref.task_id)).error == BROKE
    await lab.settle(await lab.take(claim.ref.task_id), Completed())
    task = await lab.task(claim.ref.task_id)
    assert (task.error, task.result) == (None, None)
    assert task.attempts[0].error == BROKE


async def failed_keeps_the_error_whole(lab: Lab) -> None:
    """Section 4, `Failed`: also with attempts left."""
    claim = await lab.start()
    error = TaskError("a.B", "text with 漢字 and\nlines", "Traceback\n  …", "abc123")
    assert await lab.settle(claim, Failed(error)) is State.FAILED
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.error, task.attempt) == (State.FAILED, error, 1)


async def cancelled_keeps_its_reason(lab: Lab) -> None:
    """Section 4, `Cancelled`."""
    claim = await lab.start()
    assert await lab.settle(claim, Cancelled("not needed")) is State.CANCELLED
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.reason, task.attempt) == (State.CANCELLED, "not needed", 1)


async def a_final_state_is_finished_now_and_kept_for_its_retention(lab: Lab) -> None:
    """Rule 4.4."""
    outcomes: list[tuple[Outcome, timedelta | None]] = [
        (Completed(), MINUTE),
        (Failed(BROKE), 2 * MINUTE),
        (Cancelled(), None),
    ]
    for outcome, kept in outcomes:
        claim = await lab.start(retention=KEPT)
        lab.clock.advance(MINUTE)
        await lab.settle(claim, outcome)
        task = await lab.task(claim.ref.task_id)
        assert task.finished_at == lab.now()
        assert task.prune_at == (None if kept is None else lab.now(kept))


async def retried_runs_again_after_its_delay(lab: Lab) -> None:
    """Section 4, `Retried`, and rule 4.6."""
    claim = await lab.start()
    lab.clock.advance(MINUTE)
    assert await lab.settle(claim, Retried(BROKE, 2 * MINUTE)) is State.SCHEDULED
    task = await lab.task(claim.ref.task_id)
    assert (task.run_at, task.error, task.attempt) == (lab.now(2 * MINUTE), BROKE, 1)
    assert (task.finished_at, task.prune_at) == (None, None)
    lab.clock.advance(2 * MINUTE)
    await lab.engine.promote(10)
    assert (await lab.take(claim.ref.task_id)).attempt == 2


async def retried_without_a_delay_is_pending_at_once(lab: Lab) -> None:
    """Section 4, `Retried`: else admission."""
    claim = await lab.start()
    lab.clock.advance(MINUTE)
    assert await lab.settle(claim, Retried(BROKE)) is State.PENDING
    assert (await lab.task(claim.ref.task_id)).run_at == lab.now()


async def retried_without_attempts_left_is_failed(lab: Lab) -> None:
    """Section 4, `Retried`: failed if attempt >= attempt limit."""
    claim = await lab.start(max_attempts=2)
    assert await lab.settle(claim, Retried(BROKE)) is State.PENDING
    claim = await lab.take(claim.ref.task_id)
    assert await lab.settle(claim, Retried(BROKE, MINUTE)) is State.FAILED
    task = await lab.task(claim.ref.task_id)
    assert (task.error, task.attempt, task.finished_at) == (BROKE, 2, lab.now())
    assert await lab.claimed() == []


async def snoozed_gives_the_attempt_back_and_waits(lab: Lab) -> None:
    """Section 4, `Snoozed`: the last attempt allowed can be snoozed for ever."""
    claim = await lab.start(max_attempts=1)
    for _ in range(3):
        lab.clock.advance(MINUTE)
        assert await lab.settle(claim, Snoozed(MINUTE, "not yet")) is State.SCHEDULED
        task = await lab.task(claim.ref.task_id)
        assert (task.attempt, task.reason, task.run_at) == (0, "not yet", lab.now(MINUTE))
        lab.clock.advance(MINUTE)
        await lab.engine.promote(10)
        claim = await lab.take(claim.ref.task_id)
        assert claim.attempt == 1


async def snoozed_for_no_time_is_pending_at_once(lab: Lab) -> None:
    """Section 4, `Snoozed`: scheduled or admission."""
    claim = await lab.start()
    lab.clock.advance(MINUTE)
    assert await lab.settle(claim, Snoozed(timedelta(0))) is State.PENDING
    assert (await lab.task(claim.ref.task_id)).run_at == lab.now()


async def released_gives_the_attempt_back_and_keeps_its_due_instant(lab: Lab) -> None:
    """Section 4, `Released`: a deploy burns no attempt."""
    claim = await lab.start(max_attempts=1)
    due = (await lab.task(claim.ref.task_id)).run_at
    for _ in range(3):
        lab.clock.advance(MINUTE)
        assert await lab.settle(claim, Released()) is State.PENDING
        task = await lab.task(claim.ref.task_id)
        assert (task.attempt, task.run_at) == (0, due)
        claim = await lab.take(claim.ref.task_id)
    assert claim.attempt == 1


async def a_crash_is_counted_and_the_next_attempt_runs_alone(lab: Lab) -> None:
    """Section 4, `Retried`: crashes + 1 if `crashed`; alone cleared unless `crashed`."""
    claim = await lab.start()
    await lab.settle(claim, Retried(BROKE, crashed=True))
    task = await lab.task(claim.ref.task_id)
    assert (task.crashes, task.alone) == (1, True)
    claim = await lab.take(claim.ref.task_id)
    assert (claim.crashes, claim.alone) == (1, True)
    await lab.settle(claim, Retried(BROKE))
    task = await lab.task(claim.ref.task_id)
    assert (task.crashes, task.alone) == (1, False)


async def the_last_crash_allowed_ends_the_task(lab: Lab) -> None:
    """Section 4, `Retried`: if `crashed` and crashes + 1 >= 3."""
    claim = await lab.start(max_attempts=99)
    for _ in range(MAX_CRASHES - 1):
        assert await lab.settle(claim, Retried(BROKE, crashed=True)) is State.PENDING
        claim = await lab.take(claim.ref.task_id)
    assert await lab.settle(claim, Retried(BROKE, MINUTE, crashed=True)) is State.FAILED
    task = await lab.task(claim.ref.task_id)
    assert (task.crashes, task.error) == (MAX_CRASHES, BROKE)


async def progress_and_logs_are_recorded_with_every_outcome(lab: Lab) -> None:
    """Rule 4.3."""
    outcomes: list[Outcome] = [
        Completed(),
        Failed(BROKE),
        Retried(BROKE),
        Cancelled(),
        Snoozed(MINUTE),
        Waiting(()),
        Released(),
    ]
    for outcome in outcomes:
        claim = await lab.start(queue=type(outcome).__name__)
        progress = Progress(62.5, "five of eight", "parse", 5, 8)
        line = LogLine(lab.now(), "info", "a line with 漢字", 1)
        await lab.settle(claim, outcome, progress=progress, logs=(line, line))
        task = await lab.task(claim.ref.task_id)
        assert (task.progress, task.logs) == (progress, (line, line)), outcome
        await lab.engine.cancel([task.id])


async def tasks_enqueued_with_a_settlement_exist_with_it(lab: Lab) -> None:
    """Rule 4.2: by the rules of enqueue, for every outcome."""
    outcomes: list[Outcome] = [
        Completed(),
        Failed(BROKE),
        Retried(BROKE),
        Retried(BROKE, MINUTE),
        Cancelled(),
        Snoozed(MINUTE),
        Released(),
    ]
    for number, outcome in enumerate(outcomes):
        claim = await lab.start(queue=f"q{number}")
        child = lab.new(queue="children", parent_id=claim.ref.task_id)
        later = lab.new(queue="children", delay=MINUTE)
        await lab.settle(claim, outcome, enqueue=(child, later, child))
        assert await lab.states(child.id, later.id) == [State.PENDING, State.SCHEDULED], outcome
        assert await lab.found(parent_id=claim.ref.task_id) == [child.id]
        await lab.engine.cancel([claim.ref.task_id])


async def one_batch_settles_different_outcomes_and_answers_each_in_order(lab: Lab) -> None:
    """The seam: answers each input in order."""
    ids = [await lab.add() for _ in range(4)]
    by_id = {claim.ref.task_id: claim for claim in await lab.claim()}
    claims = [by_id[task_id] for task_id in ids]
    unknown = msgspec.structs.replace(claims[0].ref, task_id=numbered_id(999))
    outcomes: list[Outcome] = [Completed(), Failed(BROKE), Snoozed(MINUTE), Released()]
    answers = await lab.engine.settle(
        [
            Settlement(claims[0].ref, outcomes[0]),
            Settlement(unknown, Completed()),
            *(
                Settlement(claim.ref, outcome)
                for claim, outcome in zip(claims[1:], outcomes[1:], strict=True)
            ),
        ]
    )
    assert answers == [State.COMPLETED, None, State.FAILED, State.SCHEDULED, State.PENDING]
    assert await lab.states(*ids) == [answers[0], *answers[2:]]


async def tasks_of_a_settlement_are_made_before_it_frees_its_unique_key(lab: Lab) -> None:
    """Rules 4.2 and 4.4: a successor with the same key is a duplicate of the task itself."""
    claim = await lab.start(unique=UniqueKey("k"))
    successor = lab.new(unique=UniqueKey("k"))
    await lab.settle(claim, Completed(), enqueue=(successor,))
    assert await lab.state(successor.id) is None
