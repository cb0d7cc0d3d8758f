"""Promote, reclaim, prune, cancel, retry and remove, as decisions over the books."""

from collections.abc import Sequence
from datetime import timedelta

from tidemill.engine import Promoted, Reclaimed, Retrial
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.record import Record
from tidemill.task import WAITING, State, TaskError


def promote(books: Books, limit: int) -> Promoted:
    """Cancel expired waiting tasks, then move due ones on."""
    now = books.now()
    waiting = [record for state in WAITING for record in books.by_state[state].values()]
    expired = sorted(
        (record for record in waiting if record.expired(now)),
        key=lambda record: (record.expires, record.new.id),
    )[:limit]
    for record in expired:
        books.end(record, State.CANCELLED, now, cause="expired", reason="expired")
    due = sorted(
        (record for record in books.by_state[State.SCHEDULED].values() if record.due <= now),
        key=lambda record: (record.due, record.new.id),
    )[: limit - len(expired)]
    for record in due:
        books.admit(record, "promoted", now)
    return Promoted(moved=len(expired) + len(due), next_in=_next_in(books, now))


def _next_in(books: Books, now: int) -> timedelta | None:
    ahead = [record.due for record in books.by_state[State.SCHEDULED].values()]
    ahead += [
        record.expires
        for state in WAITING
        for record in books.by_state[state].values()
        if record.expires is not None
    ]
    return timedelta(microseconds=max(0, min(ahead) - now)) if ahead else None


def reclaim(books: Books, limit: int) -> list[Reclaimed]:
    """Take back expired leases, the longest expired first."""
    now = books.now()
    lost = sorted(
        (
            record
            for record in books.by_state[State.RUNNING].values()
            if record.lease_end is not None and record.lease_end < now
        ),
        key=lambda record: (record.lease_end, record.new.id),
    )[:limit]
    return [_reclaim(books, record, now) for record in lost]


def _reclaim(books: Books, record: Record, now: int) -> Reclaimed:
    worker = record.worker or ""
    record.claim_id = None
    if record.cancel_requested:
        books.end(record, State.CANCELLED, now, cause="reclaimed", reason=record.reason)
        return _reclaimed(record, worker)
    text = f"worker {worker} stopped extending its lease during attempt {record.attempt}"
    error = TaskError(type="WorkerLost", message=text, fingerprint="WorkerLost")
    if record.attempt >= record.attempt_limit:
        books.end(record, State.FAILED, now, cause="reclaimed", error=error)
        return _reclaimed(record, worker)
    books.history.count(record, "reclaimed", now, timed=False)
    record.history.append(record.ended(now, "lost", error))
    record.error = error
    record.alone = True
    books.admit(record, "reclaimed", now)
    return _reclaimed(record, worker)


def _reclaimed(record: Record, worker: str) -> Reclaimed:
    new = record.new
    return Reclaimed(new.id, new.task_type, new.queue, worker, record.state)


def prune(books: Books, limit: int) -> int:
    """Forget final tasks whose retention is over, the longest over first."""
    now = books.now()
    over = sorted(
        (
            record
            for record in books.records.values()
            if record.state.final and record.prune is not None and record.prune <= now
        ),
        key=lambda record: (record.prune, record.new.id),
    )[:limit]
    books.remove(over, now)
    books.history.forget(now)
    return len(over)


def cancel(books: Books, ids: Sequence[str], reason: str) -> list[State | None]:
    """Cancel waiting tasks, ask running ones to stop."""
    now = books.now()
    return [_cancel(books, books.records.get(task_id), reason, now) for task_id in ids]


def _cancel(books: Books, record: Record | None, reason: str, now: int) -> State | None:
    if record is None:
        return None
    if record.state.final:
        return record.state
    if record.state is State.RUNNING:
        if not record.cancel_requested:
            record.cancel_requested = True
            record.reason = reason
            books.tell(record, "cancel_requested", now)
        return record.state
    books.end(record, State.CANCELLED, now, cause="cancelled", reason=reason)
    return record.state


def retry(books: Books, ids: Sequence[str]) -> list[Retrial]:
    """Give failed and cancelled tasks a new budget."""
    now = books.now()
    return [_retry(books, books.records.get(task_id), now) for task_id in ids]


def _retry(books: Books, record: Record | None, now: int) -> Retrial:
    if record is None:
        return Retrial.NOT_FOUND
    if not record.state.final:
        return Retrial.NOT_FINAL
    if record.state is State.COMPLETED:
        return Retrial.COMPLETED
    unique = record.new.unique
    if unique is not None and unique.lasting is None:
        holder = books.holder(record.new.queue, unique.key, now)
        if holder is not None and holder is not record:
            return Retrial.KEY_TAKEN
        books.hold_key(record, unique, now)
    record.history = list(record.attempts())
    record.attempt_limit = record.attempt + record.new.max_attempts
    record.claim_id = record.worker = record.started = None
    record.crashes, record.alone, record.cancel_requested = 0, False, False
    record.result = record.error = record.reason = record.finished = record.prune = None
    record.due = now
    books.ask_upstream(record, "manual_retry", now)
    return Retrial.RETRIED


def remove(books: Books, ids: Sequence[str]) -> list[bool]:
    """Forget final tasks now."""
    now = books.now()
    return [_remove(books, books.records.get(task_id), now) for task_id in ids]


def _remove(books: Books, record: Record | None, now: int) -> bool:
    if record is None or not record.state.final:
        return False
    books.remove([record], now)
    return True
