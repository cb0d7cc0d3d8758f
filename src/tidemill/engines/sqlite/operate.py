"""Cancel, retry, remove, and the queues' settings: rule 6."""

from collections.abc import Sequence

import msgspec

from tidemill.engine import QueueDefinition, Retrial
from tidemill.engines.sqlite.keys import hold_key, key_holder
from tidemill.engines.sqlite.repair import forget
from tidemill.engines.sqlite.rows import (
    CANCELLED,
    COMPLETED,
    PENDING,
    RUNNING,
    STATES,
    Row,
    attempt_from,
    attempt_of,
    error_from,
    extra_from,
    key_or_none,
    storable,
)
from tidemill.engines.sqlite.statements import one
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import ask, end
from tidemill.task import State


def _load(step: Step, ids: Sequence[str]) -> list[str | None]:
    keys = [key_or_none(task_id) for task_id in ids]
    step.load({key for key in keys if key is not None})
    return keys


def _row(step: Step, key: str | None) -> Row | None:
    return None if key is None else step.row(key)


def cancel(step: Step, ids: Sequence[str], reason: str) -> list[State | None]:
    """Cancel waiting tasks, ask running ones to stop."""
    return [_cancel(step, _row(step, key), reason) for key in _load(step, ids)]


def _cancel(step: Step, row: Row | None, reason: str) -> State | None:
    if row is None:
        return None
    state = STATES[row.state]
    if state.final:
        return state
    if row.state == RUNNING:
        if not row.cancelling:
            asked = msgspec.structs.replace(row, cancelling=1, reason=storable(reason))
            step.tell(step.write(asked), "cancel_requested")
        return state
    return STATES[end(step, row, CANCELLED, "cancelled", reason=reason).state]


def retry(step: Step, ids: Sequence[str]) -> list[Retrial]:
    """Give failed and cancelled tasks a new budget."""
    return [_retry(step, _row(step, key)) for key in _load(step, ids)]


def _retry(step: Step, row: Row | None) -> Retrial:
    if row is None:
        return Retrial.NOT_FOUND
    if not STATES[row.state].final:
        return Retrial.NOT_FINAL
    if row.state == COMPLETED:
        return Retrial.COMPLETED
    if row.unique_key is not None and extra_from(row.extra).key_rules.lasting is None:
        holder = key_holder(step, row.queue, row.unique_key)
        if holder is not None and holder.key != row.key:
            return Retrial.KEY_TAKEN
        hold_key(step, row.queue, row.unique_key, row.key, None)
    _tell_last_attempt(step, row)
    again = msgspec.structs.replace(
        row,
        attempt_limit=row.attempt + row.max_attempts,
        claim_kept=False,
        worker=None,
        started_at=None,
        finished_at=None,
        prune_at=None,
        crashes=0,
        alone=0,
        cancelling=0,
        due=step.now,
        error=None,
        fingerprint=None,
        result=None,
        reason=None,
    )
    step.write(ask(step, again, "manual_retry"), whole=True)
    return Retrial.RETRIED


def _tell_last_attempt(step: Step, row: Row) -> None:
    """Put the attempt that the record tells of into the history, unless it is there already."""
    if row.started_at is None or row.finished_at is None:
        return
    step.write_tasks()
    body = one(step.on, "last_attempt", (row.seq,))
    if row.attempt == (0 if body is None else attempt_from(body).number):
        return
    error = error_from(one(step.on, "last_error", (row.seq,)))
    worker = step.worker_name(row.worker)
    outcome = STATES[row.state].value
    step.add_attempt(row.seq, attempt_of(row, worker, row.finished_at, outcome, error))


def remove(step: Step, ids: Sequence[str]) -> list[bool]:
    """Forget final tasks now."""
    answers = []
    for key in _load(step, ids):
        row = _row(step, key)
        final = row is not None and STATES[row.state].final
        if row is not None and final:
            forget(step, [row])
        answers.append(final)
    return answers


def pause(step: Step, name: str, *, paused: bool) -> None:
    """Stop or resume claims from a queue."""
    queue = step.queue(name)
    queue.paused = int(paused)
    step.ledger.change(queue)
    if not paused:
        step.ready.add(name)


def configure(step: Step, definitions: Sequence[QueueDefinition]) -> None:
    """Create queues or change their settings."""
    for definition in definitions:
        queue = step.queue(definition.name)
        step.ledger.define(queue, definition)
        if step.ledger.count(step.on, queue.code, PENDING):
            step.ready.add(queue.name)
