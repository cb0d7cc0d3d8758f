"""Enqueue and fire, as decisions over the books."""

from collections.abc import Iterable, Sequence

import msgspec

from tidemill.clock import to_micros
from tidemill.engine import Enqueued, Firing
from tidemill.engines.memory.books import Books
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


def fire(books: Books, firings: Sequence[Firing]) -> list[bool]:
    """Enqueue what schedules fire, each instant once."""
    check(firing.task for firing in firings)
    now = books.now()
    return [_fire(books, firing, now) for firing in firings]


def _fire(books: Books, firing: Firing, now: int) -> bool:
    instant = to_micros(firing.at)
    mark = books.marks.get(firing.schedule)
    if instant > now or (mark is not None and instant <= mark):
        return False
    books.marks[firing.schedule] = instant
    enqueue(books, firing.task, now)
    return True
