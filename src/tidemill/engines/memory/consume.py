"""Claim, extend and settle, as decisions over the books."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from tidemill.clock import micros
from tidemill.engine import MAX_CRASHES, ClaimRequest, Extension, Hold
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.produce import check, enqueue
from tidemill.engines.memory.record import Record, later
from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Released,
    Retried,
    Settlement,
    Snoozed,
    Waiting,
)
from tidemill.rotation import Turn, share
from tidemill.task import Claim, State

CLAIM_MEMORY = timedelta(hours=1)


def claim(books: Books, request: ClaimRequest) -> list[Claim]:
    """Take ready tasks by rules 3.1-3.7."""
    now = books.now()
    if request.claim_id in books.claims:
        held = (
            record
            for record in books.by_state[State.RUNNING].values()
            if record.claim_id == request.claim_id
        )
        return [record.claim() for record in sorted(held, key=books.place)]
    _remember(books, request.claim_id, now)
    gives = _open_queues(books, request, now)
    candidates = _candidates(books, request, gives, now)
    turns = {
        name: Turn(
            books.queues[name].passed,
            books.queues[name].definition.weight,
            min(len(ready), gives[name]),
        )
        for name, ready in candidates.items()
    }
    shares = share(turns, books.rotated, request.limit)
    books.rotated = shares.now
    for name, passed in shares.passed.items():
        books.queues[name].passed = passed
    taken = [record for name, count in shares.take.items() for record in candidates[name][:count]]
    taken.sort(key=books.place)
    for record in taken:
        _start(books, record, request, now)
    for name, count in shares.take.items():
        books.queues[name].started(count, now)
    return [record.claim() for record in taken]


def _remember(books: Books, claim_id: str, now: int) -> None:
    books.claims[claim_id] = now
    forgotten = [known for known, at in books.claims.items() if at < now - micros(CLAIM_MEMORY)]
    for known in forgotten:
        del books.claims[known]


def _candidates(
    books: Books, request: ClaimRequest, queues: Iterable[str], now: int
) -> dict[str, list[Record]]:
    """The ready tasks of the open queues in claim order; expired ones met are cancelled first.

    Cancelling may let others in, in any queue, so it looks again until none is expired.
    """
    while True:
        met = {name: _first(books, name, request) for name in queues}
        expired = [record for ready in met.values() for record in ready if record.expired(now)]
        if not expired:
            return met
        for record in expired:
            if record.state is State.PENDING:
                books.end(record, State.CANCELLED, now, cause="expired", reason="expired")


def _open_queues(books: Books, request: ClaimRequest, now: int) -> dict[str, int]:
    """How many tasks each queue may give that is asked and may give any."""
    names = books.queues if request.queues is None else books.queues.keys() & set(request.queues)
    running = list(books.by_state[State.RUNNING].values())
    all_running = Counter(record.new.queue for record in running)
    own = Counter(record.new.queue for record in running if record.worker == request.worker)
    gives = {
        name: books.queues[name].gives(all_running[name], own[name], now) for name in sorted(names)
    }
    return {name: count for name, count in gives.items() if count}


def _first(books: Books, queue: str, request: ClaimRequest) -> list[Record]:
    ready = sorted(
        (
            record
            for record in books.by_state[State.PENDING].values()
            if record.new.queue == queue and record.new.task_type in request.task_types
        ),
        key=books.place,
    )
    beside = [record for record in ready if not record.alone][: request.limit]
    alone = [record for record in ready if record.alone][: request.alone]
    return sorted(beside + alone, key=books.place)


def _start(books: Books, record: Record, request: ClaimRequest, now: int) -> None:
    record.token += 1
    record.attempt += 1
    record.claim_id = request.claim_id
    record.worker = request.worker
    record.started = now
    books.free_key(record, "start")
    books.enter(record, State.RUNNING, "claimed", now)
    lease = books.queue(record.new.queue).definition.lease or request.lease
    record.lease_end = later(now, lease)


def extend(books: Books, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
    """Renew held leases and record what the attempts reported."""
    now = books.now()
    return [_extend(books, extension, lease, now) for extension in extensions]


def _extend(books: Books, extension: Extension, lease: timedelta, now: int) -> Hold:
    record = books.records.get(extension.claim.task_id)
    if record is None or not record.held_by(extension.claim):
        return Hold.LOST
    own = books.queue(record.new.queue).definition.lease
    record.lease_end = later(now, own or lease)
    record.logs.extend(extension.logs)
    if extension.progress is not None:
        record.progress = extension.progress
        books.tell(record, "progress", now, extension.progress)
    return Hold.CANCEL if record.cancel_requested else Hold.HELD


def settle(books: Books, settlements: Sequence[Settlement]) -> list[State | None]:
    """Record outcomes by the table of rule 4."""
    check(task for settlement in settlements for task in settlement.enqueue)
    now = books.now()
    return [_settle(books, settlement, now) for settlement in settlements]


def _settle(books: Books, settlement: Settlement, now: int) -> State | None:
    record = books.records.get(settlement.claim.task_id)
    if record is None or not record.claimed_by(settlement.claim):
        return None
    if record.state is not State.RUNNING:
        return record.state
    if settlement.progress is not None:
        record.progress = settlement.progress
    record.logs.extend(settlement.logs)
    outcome = settlement.outcome
    if record.cancel_requested and not isinstance(outcome, Completed | Failed | Cancelled):
        books.end(record, State.CANCELLED, now, cause="cancelled", reason=record.reason)
        return record.state
    for task in settlement.enqueue:
        enqueue(books, task, now)
    match outcome:
        case Completed(result):
            books.end(record, State.COMPLETED, now, cause="completed", result=result)
        case Failed(error):
            books.end(record, State.FAILED, now, cause="failed", error=error)
        case Cancelled(reason):
            books.end(record, State.CANCELLED, now, cause="cancelled", reason=reason)
        case Retried():
            _again(books, record, outcome, now)
        case Snoozed(delay, reason):
            record.attempt -= 1
            record.reason = reason
            record.due = later(now, delay)
            books.schedule_or_admit(record, "snoozed", now)
        case Waiting(children):
            record.attempt -= 1
            _wait(books, record, children, now)
        case Released():
            record.attempt -= 1
            books.admit(record, "released", now)
    return record.state


def _again(books: Books, record: Record, outcome: Retried, now: int) -> None:
    record.crashes += outcome.crashed
    if record.attempt >= record.attempt_limit or (
        outcome.crashed and record.crashes >= MAX_CRASHES
    ):
        books.end(record, State.FAILED, now, cause="failed", error=outcome.error)
        return
    books.history.count(record, "retried", now, timed=True)
    record.history.append(record.ended(now, "retried", outcome.error))
    record.error = outcome.error
    record.alone = outcome.crashed
    record.due = later(now, outcome.delay)
    books.schedule_or_admit(record, "retried", now)


def _wait(books: Books, record: Record, children: tuple[str, ...], now: int) -> None:
    if not books.wait_for(record, children, "children", "waiting", now):
        books.admit(record, "waiting", now)
