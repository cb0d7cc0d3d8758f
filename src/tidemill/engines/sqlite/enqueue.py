"""Enqueue and fire: rules 1, 2 and 9."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from tidemill.clock import micros, to_micros
from tidemill.engine import Enqueued, Firing
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
from tidemill.engines.sqlite.statements import one, statement
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import fits, hold_key, key_holder, schedule_or_admit
from tidemill.task import NewTask


def enqueue(step: Step, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Accept tasks in order, each once."""
    keys = [key_of(task.id) for task in tasks]
    known = step.known(keys)
    return [_accept(step, task, key, known) for task, key in zip(tasks, keys, strict=True)]


def _accept(step: Step, task: NewTask, key: str, known: set[str]) -> Enqueued:
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
        until = task.unique.until
        instant = step.now + micros(until) if isinstance(until, timedelta) else None
        hold_key(step, queue, task.unique.key, key, instant)
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


def fire(step: Step, firings: Sequence[Firing]) -> list[bool]:
    """Enqueue what schedules fire, each instant once."""
    return [_fire(step, firing) for firing in firings]


def _fire(step: Step, firing: Firing) -> bool:
    instant = to_micros(firing.at)
    mark = one(step.on, "mark", (firing.schedule,))
    if instant > step.now or (mark is not None and instant <= mark):
        return False
    step.on.execute(statement("mark_put"), (firing.schedule, instant))
    enqueue(step, [firing.task])
    return True
