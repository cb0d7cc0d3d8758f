"""Enqueue: rules 1 and 2."""

from collections.abc import Sequence

import msgspec

from tidemill.clock import micros, to_micros
from tidemill.engine import Enqueued
from tidemill.engines.sqlite.rows import (
    BLOCKED,
    INLINE_PAYLOAD,
    PENDING,
    SCHEDULED,
    Row,
    extra_from,
    id_of,
    key_of,
    pack,
)
from tidemill.engines.sqlite.statements import statement
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import fits, hold_key, key_holder, schedule_or_admit
from tidemill.task import NewTask


def enqueue(step: Step, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Accept tasks in order, each once."""
    keys = [key_of(task.id) for task in tasks]
    known = step.known(keys)
    return [accept(step, task, key, known) for task, key in zip(tasks, keys, strict=True)]


def accept(step: Step, task: NewTask, key: str, known: set[str]) -> Enqueued:
    """Accept a task, or answer the one that stands for it; `known` are the keys that exist."""
    if key in known:
        step.queue(task.queue)
        return Enqueued(task.id)
    due = _due(task, step.now)
    if task.unique is not None:
        queue = step.queue(task.queue).code
        holder = key_holder(step, queue, task.unique.key)
        if holder is not None:
            if task.unique.on_conflict == "replace" and holder.state == SCHEDULED:
                _replace(step, holder, task, due)
            return Enqueued(id_of(holder.key), duplicate=True)
        lasting = task.unique.lasting
        until = None if lasting is None else step.now + micros(lasting)
        hold_key(step, queue, task.unique.key, key, until)
    known.add(key)
    if due > step.now:
        step.insert(task, key, SCHEDULED, due)
    elif task.limit is None or fits(
        step, step.queue(task.queue).code, task.limit.key, task.limit.at_most
    ):
        step.insert(task, key, PENDING, due)
    else:
        step.insert(task, key, BLOCKED, due, "limit")
    return Enqueued(task.id)


def _due(task: NewTask, now: int) -> int:
    if task.delay is not None:
        return now + max(0, micros(task.delay))
    return now if task.run_at is None else to_micros(task.run_at)


def _replace(step: Step, holder: Row, task: NewTask, due: int) -> None:
    extra = msgspec.structs.replace(extra_from(holder.extra), headers=task.headers)
    expires = None if task.expires_at is None else to_micros(task.expires_at)
    long = len(task.payload) > INLINE_PAYLOAD
    packed = pack(extra)
    step.flush()
    step.on.execute(
        statement("replace"),
        (None if long else task.payload, task.priority, expires, packed, holder.seq),
    )
    if long:
        step.on.execute(statement("body_put"), (holder.seq, task.payload))
    else:
        step.on.execute(statement("body_drop"), (holder.seq,))
    changed = msgspec.structs.replace(
        holder, priority=task.priority, expires_at=expires, extra=packed.hex()
    )
    schedule_or_admit(step, changed, "replaced", due)
