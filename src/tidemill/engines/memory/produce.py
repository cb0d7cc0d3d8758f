"""Enqueue and fire, as decisions over the books."""

from collections.abc import Iterable, Sequence

import msgspec

from tidemill.clock import from_micros, to_micros
from tidemill.engine import SCHEDULE, Enqueued, Fire, Fired, Firing
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.marks import Timetable
from tidemill.engines.memory.record import Record, due
from tidemill.task import NewTask, State


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
    return [enqueue(books, task, now) for task in tasks]


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
    books.schedule_or_admit(record, "enqueued", now)
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
