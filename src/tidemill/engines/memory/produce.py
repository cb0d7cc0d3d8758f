"""Enqueue and fire, as decisions over the books."""

from collections.abc import Iterable, Sequence

import msgspec

from tidemill.clock import from_micros, micros, to_micros
from tidemill.engine import SCHEDULE, Enqueued, Fire, Fired, Firing
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.marks import Timetable
from tidemill.engines.memory.record import Record, due
from tidemill.errors import QueueFull
from tidemill.task import WAITING, NewTask, State


def check(tasks: Iterable[NewTask]) -> None:
    """Raise ValueError for a task that cannot be kept, before anything of its batch is done."""
    for task in tasks:
        for instant in (task.run_at, task.expires_at):
            if instant is not None:
                to_micros(instant)


def enqueue_all(books: Books, tasks: Sequence[NewTask]) -> list[Enqueued]:
    """Accept a batch in order, all of it or none."""
    check(tasks)
    now = books.now()
    _check_room(books, tasks, now)
    return [enqueue(books, task, now) for task in tasks]


def _check_room(books: Books, tasks: Sequence[NewTask], now: int) -> None:
    """Raise `QueueFull` unless every queue has room for what would be made in it."""
    more: dict[str, set[str]] = {}
    for task in tasks:
        if task.queue not in books.queues or task.id in books.records:
            continue
        key = task.unique.key if task.unique else None
        if key is None or books.holder(task.queue, key, now) is None:
            more.setdefault(task.queue, set()).add(task.id if key is None else f"key {key}")
    for queue, made in more.items():
        capacity = books.queues[queue].definition.capacity
        waiting = sum(
            record.new.queue == queue
            for state in WAITING
            for record in books.by_state[state].values()
        )
        if capacity is not None and waiting + len(made) > capacity:
            raise QueueFull(queue, capacity, waiting, len(made))


def enqueue(books: Books, task: NewTask, now: int) -> Enqueued:
    """Accept one checked task, or answer the one that stands for it."""
    books.queue(task.queue)
    if task.id in books.records:
        return Enqueued(task.id)
    if task.unique is not None:
        holder = books.holder(task.queue, task.unique.key, now)
        if holder is not None:
            if task.unique.on_conflict == "replace" and holder.state is State.SCHEDULED:
                _replace(books, holder, task, now)
            return Enqueued(holder.new.id, duplicate=True)
    record = Record.of(task, now)
    books.records[task.id] = record
    if task.unique is not None:
        books.hold_key(record, task.unique, now)
    books.ask_upstream(record, "enqueued", now)
    return Enqueued(task.id)


def _replace(books: Books, holder: Record, task: NewTask, now: int) -> None:
    holder.new = msgspec.structs.replace(
        holder.new,
        payload=task.payload,
        priority=task.priority,
        expires_at=task.expires_at,
        headers=task.headers,
    )
    holder.due = due(task, now)
    if task.unique is not None and task.unique.within is not None:
        holder.due = min(holder.due, holder.enqueued + micros(task.unique.within))
    books.schedule_or_admit(holder, "replaced", now)


def fire(books: Books, firings: Sequence[Firing]) -> list[Fired]:
    """Enqueue what schedules fire, each instant once."""
    check(firing.task for firing in firings if firing.task)
    now = books.now()
    return [_fire(books, firing, now) for firing in firings]


def _fire(books: Books, firing: Firing, now: int) -> Fired:
    if firing.version is not None:
        defined = books.documents.get((SCHEDULE, firing.schedule))
        if defined is None or defined.version != firing.version:
            return Fired.CHANGED
    instant = to_micros(firing.at)
    if instant > now:
        return Fired.EARLY
    timetable = books.timetables.setdefault(firing.schedule, Timetable())
    if firing.by_hand:
        if firing.task is not None and firing.task.id in books.records:
            return Fired.ALREADY
    elif timetable.at is not None and instant <= timetable.at:
        return Fired.ALREADY
    else:
        timetable.at = instant
    enqueued = None if firing.task is None else enqueue(books, firing.task, now)
    outcome = _outcome(enqueued)
    timetable.note(
        Fire(
            at=from_micros(instant),
            recorded_at=from_micros(now),
            outcome=outcome,
            task_id=enqueued.task_id if enqueued else None,
            missed=firing.missed,
            by_hand=firing.by_hand,
        )
    )
    return outcome


def _outcome(enqueued: Enqueued | None) -> Fired:
    if enqueued is None:
        return Fired.MISSED
    return Fired.SKIPPED if enqueued.duplicate else Fired.FIRED
