"""Taking in what another engine gave, as decisions over the books."""

from collections.abc import Sequence
from datetime import datetime

from tidemill.clock import micros, to_micros
from tidemill.engine import Mark, Tally
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.marks import Timetable
from tidemill.engines.memory.produce import check
from tidemill.engines.memory.record import Record
from tidemill.task import NewTask, State, Task


def restore(
    books: Books, tasks: Sequence[Task], marks: Sequence[Mark], tallies: Sequence[Tally]
) -> list[bool]:
    """Take in tasks, marks and tallies that are not there yet."""
    made = [(task.as_new(), task) for task in tasks]
    check(new for new, _ in made)
    now = books.now()
    for mark in marks:
        books.timetables.setdefault(mark.schedule, Timetable.of(mark))
    books.history.take_in(tallies)
    put = [_put(books, new, task) for new, task in made]
    for record, (_, task) in zip(put, made, strict=True):
        if record is not None:
            _restore(books, record, task, now)
    return [record is not None for record in put]


def _put(books: Books, new: NewTask, task: Task) -> Record | None:
    """Its record, in no state of the books yet; None when the id is known."""
    books.queue(new.queue)
    if new.id in books.records:
        return None
    running = task.state is State.RUNNING
    record = Record(
        new,
        enqueued=to_micros(task.enqueued_at),
        due=to_micros(task.run_at),
        attempt_limit=task.attempt_limit,
        attempt=task.attempt - running,
        alone=task.alone,
        crashes=task.crashes,
        worker=task.worker,
        started=_instant(task.started_at),
        finished=_instant(task.finished_at),
        prune=_instant(task.prune_at),
        progress=task.progress,
        result=task.result,
        error=task.error,
        reason=task.reason,
        history=list(task.earlier_attempts),
        logs=list(task.logs),
    )
    record.state = task.state
    books.records[new.id] = record
    return record


def _restore(books: Books, record: Record, task: Task, now: int) -> None:
    if task.state.final:
        books.enter(record, task.state, "restored", now)
        _keep_cached(books, record, now)
        return
    _take_key(books, record, now)
    if task.cancel_requested:
        books.end(record, State.CANCELLED, now, cause="restored", reason=task.reason)
    elif task.blocked_on == "upstream":
        books.ask_upstream(record, "restored", now)
    else:
        books.schedule_or_admit(record, "restored", now)


def _keep_cached(books: Books, record: Record, now: int) -> None:
    """Give a completed task its key for as long as its result is still cached."""
    unique = record.new.unique
    if unique is None or unique.cached is None or record.state is not State.COMPLETED:
        return
    until = (record.finished or now) + micros(unique.cached)
    if until > now and books.holder(record.new.queue, unique.key, now) is None:
        books.keys[record.new.queue, unique.key] = (record.new.id, until)


def _take_key(books: Books, record: Record, now: int) -> None:
    unique = record.new.unique
    if unique is None or books.holder(record.new.queue, unique.key, now) is not None:
        return
    if unique.lasting is None:
        books.keys[record.new.queue, unique.key] = (record.new.id, None)
        return
    until = record.enqueued + micros(unique.lasting)
    if until > now:
        books.keys[record.new.queue, unique.key] = (record.new.id, until)


def _instant(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)
