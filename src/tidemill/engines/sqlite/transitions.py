"""The transitions that several verbs share: admission, the end of a task, unique keys.

Each carries out one change with all that hangs on it: limit slots, keys, waiting parents
(rules 2, 4.4, 4.7 and 14).
"""

from typing import Any

import msgspec

from tidemill.clock import micros
from tidemill.engines.sqlite.rows import (
    BLOCKED,
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    SCHEDULED,
    STATES,
    Row,
    extra_from,
    pack,
    storable,
)
from tidemill.engines.sqlite.statements import one, run, statement
from tidemill.engines.sqlite.step import Step
from tidemill.task import DEFAULT_RETENTION, State, TaskError

_RETENTION = {
    state: None if kept is None else micros(kept)
    for state in (State.COMPLETED, State.FAILED, State.CANCELLED)
    for kept in (DEFAULT_RETENTION.of(state),)
}
_COUNTED = {code: STATES[code].value for code in (COMPLETED, FAILED, CANCELLED)}
_SETTLED = ("completed", "failed")
"""Causes of an end whose attempt's times are counted, as the state that they lead to."""
_holder = msgspec.json.Decoder(tuple[str, int | None]).decode


def occupies(state: int) -> bool:
    """Whether a task in this state takes a slot of its limit."""
    return state in (PENDING, RUNNING)


def fits(step: Step, queue: int, limit_key: str, at_most: int, *, itself: int = 0) -> bool:
    """Whether a task finds a slot free. `itself`: slots that it takes already."""
    step.flush()
    return int(one(step.on, "slots", (queue, limit_key))) - itself < at_most


def admit(step: Step, row: Row, cause: str, **changes: Any) -> Row:
    """Let a due task in, or block it at its limit."""
    if row.limit_key is None or row.at_most is None:
        return step.move(row, cause, PENDING, blocked_on=None, **changes)
    held = occupies(row.state)
    if fits(step, row.queue, row.limit_key, row.at_most, itself=int(held)):
        return step.move(row, cause, PENDING, blocked_on=None, **changes)
    return block(step, row, cause, "limit", **changes)


def block(step: Step, row: Row, cause: str, on: str, **changes: Any) -> Row:
    """Put a task aside until its limit or its children let it go on."""
    moved = step.move(row, cause, BLOCKED, blocked_on=on, **changes)
    leave_slot(step, row)
    return moved


def schedule_or_admit(step: Step, row: Row, cause: str, due: int, **changes: Any) -> Row:
    """Wait for the due instant if it is ahead, else ask for admission."""
    if due <= step.now:
        return admit(step, row, cause, due=due, **changes)
    moved = step.move(row, cause, SCHEDULED, due=due, blocked_on=None, **changes)
    leave_slot(step, row)
    return moved


def leave_slot(step: Step, left: Row) -> None:
    """Give the slot that a task held before it moved to those that wait for it."""
    if left.limit_key is None or not occupies(left.state):
        return
    while True:
        waiting = step.select_one("next_blocked", left.queue, left.limit_key)
        if waiting is None or waiting.at_most is None:
            return
        if not fits(step, left.queue, left.limit_key, waiting.at_most):
            return
        step.move(waiting, "admitted", PENDING, blocked_on=None)


def end(
    step: Step,
    row: Row,
    state: int,
    cause: str,
    *,
    result: bytes | None = None,
    error: TaskError | None = None,
    reason: str | None = None,
    **changes: Any,
) -> Row:
    """End a task: record how, free its key, then let parents that wait go on."""
    if row.unique_key is not None:
        free_key(step, row)
    if row.blocked_on == "children":
        step.on.execute(statement("await_drop"), (bytes.fromhex(row.key),))
    if cause in _SETTLED:
        step.ends.settled(row, cause)
    else:
        step.ends.count(row.queue, row.type, _COUNTED[state])
    kept = _kept(row, state)
    final = step.move(
        row,
        cause,
        state,
        blocked_on=None,
        finished_at=step.now,
        prune_at=None if kept is None else step.now + kept,
        result=result,
        error=None if error is None else pack(error),
        fingerprint=None if error is None else storable(error.fingerprint),
        reason=None if reason is None else storable(reason),
        **changes,
    )
    step.write(final, whole=True)
    if row.limit_key is not None:
        leave_slot(step, row)
    if row.awaited:
        tell_parents(step, row.key)
    return final


def expire(step: Step, row: Row) -> Row:
    """End a waiting task whose time to start is over."""
    return end(step, row, CANCELLED, "expired", reason="expired")


def _kept(row: Row, state: int) -> int | None:
    if not row.extra:
        return _RETENTION[STATES[state]]
    retention = extra_from(row.extra).retention
    if retention is DEFAULT_RETENTION:
        return _RETENTION[STATES[state]]
    kept = retention.of(STATES[state])
    return None if kept is None else micros(kept)


def tell_parents(step: Step, child: str) -> None:
    """Let parents go on that waited for this child last."""
    raw = bytes.fromhex(child)
    parents = step.select("await_over", raw)
    step.on.execute(statement("await_end"), (raw,))
    for parent in parents:
        admit(step, parent, "children_final")


# unique keys


def key_holder(step: Step, queue: int, key: str) -> Row | None:
    """The task that holds a key now."""
    text = one(step.on, "key_holder", (queue, key))
    if text is None:
        return None
    holder, until = _holder(text)
    if until is not None and until <= step.now:
        return None
    step.load([holder])
    return step.row(holder)


def hold_key(step: Step, queue: int, key: str, holder: str, until: int | None) -> None:
    """Give a key to a task; `until` is an instant, None when its start or end frees it."""
    step.on.execute(statement("key_hold"), (queue, key, bytes.fromhex(holder), until))


def free_key(step: Step, row: Row) -> None:
    """Free the key of a task that ends, unless it holds it for a duration."""
    if extra_from(row.extra).key_rules.lasting is None:
        run(step.on, "key_free", [(row.queue, row.unique_key, bytes.fromhex(row.key))])
