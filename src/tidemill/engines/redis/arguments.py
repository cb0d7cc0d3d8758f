"""What scripts are given: arguments as one msgpack array, opaque bytes behind it."""

from collections.abc import Mapping
from typing import Final

import msgspec

from tidemill.clock import micros, to_micros
from tidemill.engines.redis.records import after, facts, has_labels, has_rules, to_json
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
from tidemill.task import NewTask

FIRST_BLOB: Final = 4
"""Where the opaque bytes of a call begin in its script's ARGV: after clock, channel, arguments."""

HERE: Final[Mapping[str, str]] = {}
"""The queues of upstream tasks in other shards, by id, where there are no others."""


class Afar(msgspec.Struct, frozen=True):
    """What a settlement has for other shards: tasks to enqueue, children ({queue, id}) to await.

    `upstream` has the queues of tasks that its tasks come after, where these are not their own.
    """

    tasks: tuple[NewTask, ...] = ()
    children: tuple[tuple[str, str], ...] = ()
    upstream: dict[str, str] = {}


NOT_AFAR: Final = Afar()


class Blobs:
    """Opaque bytes that follow a call's arguments, and the place of each in ARGV."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def add(self, *blobs: bytes) -> int:
        """The place of the first of these."""
        place = FIRST_BLOB + len(self.all)
        self.all += blobs
        return place


def made(task: NewTask, blobs: Blobs, elsewhere: Mapping[str, str] = HERE) -> tuple[object, ...]:
    """A task as `produce.lua` takes it; `elsewhere` has the queues of upstream tasks, by id."""
    upstream = () if task.after is None else (after(task, elsewhere),)
    return (
        task.id,
        task.queue,
        task.task_type,
        task.priority,
        task.max_attempts,
        blobs.add(facts(task), task.payload, *upstream),
        False if task.delay is None else micros(task.delay),
        False if task.run_at is None else to_micros(task.run_at),
        has_rules(task),
        has_labels(task),
        bool(upstream),
    )


def settled(settlement: Settlement, afar: Afar, blobs: Blobs) -> tuple[object, ...]:
    """A settlement as `settle.lua` takes it, with what it has for other shards."""
    ref, outcome = settlement.claim, settlement.outcome
    return (
        ref.task_id,
        ref.token,
        ref.claim_id,
        type(outcome).__name__,
        _outcome(outcome, afar, blobs),
        _along(settlement, afar, blobs),
    )


def _along(settlement: Settlement, afar: Afar, blobs: Blobs) -> dict[str, object] | bool:
    progress = settlement.progress
    if not settlement.enqueue and not settlement.logs and progress is None:
        return False
    return {
        "made": [
            made(task, blobs, afar.upstream)
            for task in settlement.enqueue
            if task not in afar.tasks
        ],
        "sent": [(task.queue, made(task, blobs, afar.upstream)) for task in afar.tasks],
        "progress": False if progress is None else to_json(progress),
        "logs": [to_json(line) for line in settlement.logs],
    }


def _outcome(outcome: Outcome, afar: Afar, blobs: Blobs) -> dict[str, object] | int:
    match outcome:
        case Completed(None) | Released():
            return False
        case Completed(result):
            return blobs.add(result or b"")
        case Failed(error):
            return {"error": to_json(error)}
        case Cancelled(reason):
            return {"reason": reason}
        case Retried(error, delay, crashed):
            return {"error": to_json(error), "delay": micros(delay), "crashed": crashed}
        case Snoozed(delay, reason):
            return {"delay": micros(delay), "reason": reason}
        case Waiting(children):
            elsewhere = {child for _, child in afar.children}
            near = [child for child in children if child not in elsewhere]
            return {"children": near, "afar": afar.children}
