"""Enqueue: rules 1, 2 and 19."""

from collections.abc import Sequence

import msgspec

from tidemill.clock import micros, to_micros
from tidemill.engine import Enqueued
from tidemill.engines.sqlite.keys import hold_key, key_holder
from tidemill.engines.sqlite.limits import IN_LINE
from tidemill.engines.sqlite.rows import (
    BLOCKED,
    INLINE_PAYLOAD,
    PENDING,
    SCHEDULED,
    Row,
    extra_from,
    id_of,
    key_of,
    key_or_none,
    pack,
)
from tidemill.engines.sqlite.statements import statement
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import fits, go_on, schedule_or_admit
from tidemill.engines.sqlite.waits import asked
from tidemill.errors import QueueFull
from tidemill.task import After, NewTask, Task

_WAITING = (SCHEDULED, BLOCKED, PENDING)


class Known(msgspec.Struct, frozen=True):
    """The states of those tasks that exist, and the keys that tasks of the batch come after."""

    states: dict[str, int]
    upstream: set[str]

    def look_again(self, step: Step, after: After) -> None:
        """Take in the states that this step has brought about since."""
        for name in after.tasks:
            row = step.row(key_or_none(name) or "")
            if row is not None:
                self.states[row.key] = row.state


def known_of(step: Step, tasks: Sequence[NewTask | Task], keys: Sequence[str]) -> Known:
    """What is to be known of these tasks, and of those that they come after."""
    upstream = {
        key
        for task in tasks
        if task.after is not None
        for name in task.after.tasks
        if (key := key_or_none(name)) is not None
    }
    return Known(step.known([*keys, *upstream] if upstream else keys), upstream)


def enqueue(step: Step, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Accept tasks in order, each once."""
    keys = [key_of(task.id) for task in tasks]
    known = known_of(step, tasks, keys)
    return [accept(step, task, key, known) for task, key in zip(tasks, keys, strict=True)]


def enqueue_within_capacity(step: Step, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Accept tasks in order, each once; raises `QueueFull` before anything is done."""
    _check_room(step, tasks)
    return enqueue(step, tasks)


def _check_room(step: Step, tasks: Sequence[NewTask]) -> None:
    named = (step.ledger.queues.get(name) for name in {task.queue for task in tasks})
    bounded = {queue.name: queue for queue in named if queue and queue.capacity is not None}
    if not bounded:
        return
    asking = [task for task in tasks if task.queue in bounded]
    known = step.known([key_of(task.id) for task in asking])
    more: dict[str, set[str]] = {name: set() for name in bounded}
    for task in asking:
        key = task.unique.key if task.unique else None
        if key_of(task.id) in known or (
            key is not None and key_holder(step, bounded[task.queue].code, key) is not None
        ):
            continue
        more[task.queue].add(key_of(task.id) if key is None else f"key {key}")
    for name, queue in bounded.items():
        waiting, capacity = step.ledger.count(step.on, queue.code, *_WAITING), queue.capacity or 0
        if more[name] and waiting + len(more[name]) > capacity:
            raise QueueFull(name, capacity, waiting, len(more[name]))


def accept(step: Step, task: NewTask, key: str, known: Known) -> Enqueued:
    """Accept a task, or answer the one that stands for it."""
    if key in known.states:
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
    if task.after is not None:
        _come_after(step, task, task.after, key, due, known)
        return Enqueued(task.id)
    awaited = key in known.upstream
    known.states[key] = SCHEDULED  # or another that is not final: it does not matter which
    if due > step.now:
        step.insert(task, key, SCHEDULED, due, awaited=awaited)
    elif task.limit is None or fits(
        step, step.queue(task.queue).code, task.limit.key, task.limit.at_most
    ):
        step.insert(task, key, PENDING, due, awaited=awaited)
    else:
        step.insert(task, key, BLOCKED, due, IN_LINE, awaited=awaited)
    return Enqueued(task.id)


def _come_after(step: Step, task: NewTask, after: After, key: str, due: int, known: Known) -> None:
    """Accept a task that waits for others, or would if they were not final yet."""
    known.states[key] = BLOCKED
    wait, live = asked(key, after, known.states)
    awaited = key in known.upstream
    step.insert(task, key, BLOCKED, due, "upstream", awaited=awaited, told=bool(live))
    if live:
        step.wait_for(wait, live)
        return
    step.load([key])
    row = step.row(key)
    if row is not None:
        known.states[key] = go_on(step, row, "enqueued", wait).state


def _due(task: NewTask, now: int) -> int:
    if task.delay is not None:
        return now + max(0, micros(task.delay))
    return now if task.run_at is None else to_micros(task.run_at)


def _replace(step: Step, holder: Row, task: NewTask, due: int) -> None:
    if task.unique is not None and task.unique.within is not None:
        due = min(due, holder.enqueued_at + micros(task.unique.within))
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
