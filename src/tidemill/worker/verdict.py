"""How an attempt ends, decided purely: a value, an exception or an interruption as an outcome."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

from tidemill.engine import MAX_CRASHES
from tidemill.errors import KeyMissing
from tidemill.outcome import (
    Cancel,
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Snooze,
    Snoozed,
)
from tidemill.retry import Again
from tidemill.secret import Veil, veiled
from tidemill.task import Claim, NewTask, TaskError
from tidemill.task_type import TaskType
from tidemill.worker.failure import describe


class Ending(StrEnum):
    """Why an attempt is made to end before its function returned."""

    CANCEL = "cancel"
    LOST = "lost"
    DRAIN = "drain"
    TIMEOUT = "timeout"


class Verdict(msgspec.Struct, frozen=True):
    """The outcome of an attempt, and the tasks that come to exist with it."""

    outcome: Outcome
    enqueue: tuple[NewTask, ...] = ()


KEY_PAUSE = timedelta(seconds=60)
"""Before a task is run again whose payload is encrypted with a key that this worker lacks."""


def returned(task_type: TaskType, value: Any, veil: Veil | None = None) -> Outcome:
    """The outcome of a function that returned, with reasons behind the veil.

    Raises `ResultInvalid`.
    """
    match value:
        case Snooze(delay, reason):
            return Snoozed(delay, veiled(veil, reason))
        case Cancel(reason):
            return Cancelled(veiled(veil, reason))
        case _ if task_type.keep_result:
            return Completed(task_type.signature.encode_result(value))
        case _:
            return Completed()


def raised(
    task_type: TaskType, claim: Claim, error: BaseException, described: TaskError | None = None
) -> Outcome:
    """The outcome of a function that raised; `described` is the error as text, if that is known."""
    return _by_policy(task_type, claim, error, described or describe(error))


def locked(problem: KeyMissing) -> Outcome:
    """The outcome of a task that this worker cannot read: nothing is wrong with it.

    It waits for a worker that has the key, and loses no attempt meanwhile.
    """
    return Snoozed(KEY_PAUSE, str(problem))


def ended(task_type: TaskType, claim: Claim, ending: Ending) -> Outcome | None:
    """The outcome of an attempt that was made to end; None when nothing may be settled.

    A cancelled one is released: the engine ends it as cancelled, with the reason that was given
    there and that a worker does not know.
    """
    match ending:
        case Ending.LOST:
            return None
        case Ending.CANCEL | Ending.DRAIN:
            return Released()
        case Ending.TIMEOUT:
            limit = hard_limit(task_type, claim)
            text = f"attempt {claim.attempt} took longer than its timeout of {limit}"
            error = TaskError("HardTimeout", text, fingerprint=f"HardTimeout:{claim.task_type}")
            return _by_policy(task_type, claim, TimeoutError(text), error)


def crashed(task_type: TaskType, claim: Claim, how: str) -> Outcome:
    """The outcome of an attempt whose child process ended by itself; `how` completes "it …"."""
    text = f"the child process that ran it {how}"
    kind = "ProcessCrashed"
    if claim.crashes + 1 >= MAX_CRASHES:
        kind = "Poison"
        text = f"it ended its process {claim.crashes + 1} times; quarantined as poison: {text}"
    error = TaskError(kind, text, fingerprint=f"{kind}:{claim.task_type}")
    match _by_policy(task_type, claim, ChildProcessError(text), error):
        case Retried(error, delay):
            return Retried(error, delay, crashed=True)
        case outcome:
            return outcome


def not_started(task_type: TaskType, claim: Claim, how: str) -> Outcome:
    """The outcome of an attempt for which no child process could be started."""
    text = f"no child process could run it: {how}"
    error = TaskError("ChildNotStarted", text, fingerprint="ChildNotStarted")
    return _by_policy(task_type, claim, ChildProcessError(text), error)


def hard_limit(task_type: TaskType, claim: Claim) -> timedelta | None:
    """How long an attempt may take: as enqueued, else as declared."""
    return claim.timeout or task_type.timeout


def soft_limit(task_type: TaskType, claim: Claim) -> timedelta | None:
    """After how long `SoftTimeout` is raised inside it."""
    return claim.soft_timeout or task_type.soft_timeout


def _by_policy(
    task_type: TaskType, claim: Claim, error: BaseException, described: TaskError
) -> Outcome:
    within_budget = claim.max_attempts - (claim.attempt_limit - claim.attempt)
    match task_type.retry.decide(error, within_budget, claim.max_attempts):
        case Again(after):
            return Retried(described, after)
        case _:
            return Failed(described)
