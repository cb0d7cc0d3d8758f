"""The event that tells how an attempt ended, in the engine's words."""

from datetime import timedelta
from typing import Any

from tidemill.events import (
    Event,
    LeaseLost,
    TaskCancelled,
    TaskCompleted,
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
