"""The events that tell how attempts ended, in the engine's words."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tidemill.events import (
    Event,
    LeaseLost,
    TaskCancelled,
    TaskCompleted,
    TaskEnd,
    TaskFailed,
    TaskReleased,
    TaskRetried,
    TaskSnoozed,
    TaskWaiting,
)
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
from tidemill.task import State
from tidemill.worker.run import Run

KIND_OF: dict[type[Outcome], type[Event]] = {
    Completed: TaskCompleted,
    Retried: TaskRetried,
    Failed: TaskFailed,
    Cancelled: TaskCancelled,
    Snoozed: TaskSnoozed,
    Waiting: TaskWaiting,
    Released: TaskReleased,
}


def kind_of(outcome: Outcome, state: State | None) -> type[Event]:
    """The event of an outcome: `state` is the engine's answer to its settlement, None if stale."""
    if state is State.COMPLETED:
        return TaskCompleted
    if state is None:
        return LeaseLost
    if state is State.CANCELLED:
        return TaskCancelled
    if state is State.FAILED:
        return TaskFailed
    return KIND_OF[type(outcome)]


WORD_OF: Mapping[type[Event], str] = {
    TaskCompleted: "completed",
    TaskRetried: "retried",
    TaskFailed: "failed",
    TaskCancelled: "cancelled",
    TaskSnoozed: "snoozed",
    TaskWaiting: "waiting",
    TaskReleased: "released",
    LeaseLost: "lost",
}


def end_of(run: Run, outcome: Outcome, state: State | None) -> TaskEnd:
    """What became of a run, for who counts."""
    claim = run.claim
    return TaskEnd(
        claim.task_type,
        claim.queue,
        WORD_OF[kind_of(outcome, state)],
        run.stopped - run.started,
        claim.waited.total_seconds(),
    )


def ending_of(run: Run, outcome: Outcome, state: State | None, worker: str) -> Event:
    """What became of a run: `state` is the engine's answer to its settlement, None if stale."""
    claim = run.claim
    task: dict[str, Any] = {
        "task_id": claim.ref.task_id,
        "task_type": claim.task_type,
        "queue": claim.queue,
    }
    if state is None:
        return LeaseLost(**task, attempt=claim.attempt, worker=worker)
    ended = {
        **task,
        "attempt": claim.attempt,
        "worker": worker,
        "ran_for": timedelta(seconds=run.stopped - run.started),
        "user_id": claim.user_id,
    }
    if state is State.CANCELLED and not isinstance(outcome, Cancelled):
        return TaskCancelled(**ended, reason="")
    match outcome:
        case Retried(error) if state is State.FAILED:
            return TaskFailed(**ended, error=error)
        case Retried(error, delay):
            return TaskRetried(**ended, error=error, delay=delay)
        case Failed(error):
            return TaskFailed(**ended, error=error)
        case Cancelled(reason):
            return TaskCancelled(**ended, reason=reason)
        case Snoozed(delay):
            return TaskSnoozed(**ended, delay=delay)
        case Waiting(children):
            return TaskWaiting(**ended, children=children)
        case Released():
            return TaskReleased(**ended)
        case _:
            return TaskCompleted(**ended)
