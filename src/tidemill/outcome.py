"""How an attempt ended: a closed union, and the settlement that records it.

The engine knows no retry policy: the delay before the next attempt arrives with the outcome.
"""

from datetime import timedelta

import msgspec

from tidemill.task import ClaimRef, LogLine, NewTask, Progress, TaskError

NO_DELAY = timedelta(0)


class Completed(msgspec.Struct, frozen=True, tag=True):
    """It returned. `result` is the encoded value, None when the task type keeps no result."""

    result: bytes | None = None


class Retried(msgspec.Struct, frozen=True, tag=True):
    """It failed and runs again after `delay`; without attempts left the engine ends it failed.

    `crashed`: the attempt killed the child process that ran only it, which counts towards
    quarantine as poison.
    """

    error: TaskError
    delay: timedelta = NO_DELAY
    crashed: bool = False


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It failed for good: permanent, out of attempts, undecodable or poison."""

    error: TaskError


class Cancelled(msgspec.Struct, frozen=True, tag=True):
    """It ended because somebody asked for it, or its own code chose to."""

    reason: str = ""


class Snoozed(msgspec.Struct, frozen=True, tag=True):
    """It runs again after `delay`, and this attempt does not count."""

    delay: timedelta
    reason: str = ""


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """It is blocked until the children are final, and this attempt does not count.

    Children that are final or unknown when this is settled are not waited for.
    """

    children: tuple[str, ...]


class Released(msgspec.Struct, frozen=True, tag=True):
    """It was handed back untouched, as by a deploy: pending again, this attempt not counted."""


Outcome = Completed | Retried | Failed | Cancelled | Snoozed | Waiting | Released


class Settlement(msgspec.Struct, frozen=True):
    """The outcome of one claim, and what is recorded with it in the same step, or not at all.

    `enqueue` holds the tasks that exist if and only if this settlement is accepted.
    """

    claim: ClaimRef
    outcome: Outcome
    enqueue: tuple[NewTask, ...] = ()
    progress: Progress | None = None
    logs: tuple[LogLine, ...] = ()


class Snooze(msgspec.Struct, frozen=True):
    """Return it from a task function to run again after `delay` without using up an attempt."""

    delay: timedelta
    reason: str = ""


class Cancel(msgspec.Struct, frozen=True):
    """Return it from a task function to end the task as cancelled."""

    reason: str = ""
