"""The transitions that several verbs share: admission, the end of a task, what waits for it.

Each carries out one change with all that hangs on it: limit slots, keys, tasks that wait
(rules 2, 4.4, 4.7, 14 and 19).
"""

from typing import Any

import msgspec

from tidemill.clock import micros
from tidemill.engines.sqlite.keys import leave_key
from tidemill.engines.sqlite.limits import IN_LINE, occupies
from tidemill.engines.sqlite.rows import (
    BLOCKED,
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    SCHEDULED,
    STATES,
    Row,
    extra_from,
    id_of,
    key_or_none,
    pack,
    storable,
)
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.waits import Wait, asked
from tidemill.task import DEFAULT_RETENTION, State, TaskError

_RETENTION = {
    state: None if kept is None else micros(kept)
    for state in (State.COMPLETED, State.FAILED, State.CANCELLED)
    for kept in (DEFAULT_RETENTION.of(state),)
}
_COUNTED = {code: STATES[code].value for code in (COMPLETED, FAILED, CANCELLED)}
_SETTLED = ("completed", "failed")
"""Causes of an end whose attempt's times are counted, as the state that they lead to."""
_ON_OTHERS = ("children", "upstream")
_BROKE = {FAILED: "failed", CANCELLED: "was cancelled"}


def fits(step: Step, queue: int, limit_key: str, at_most: int, *, itself: int = 0) -> bool:
    """Whether a task finds a slot free. `itself`: slots that it takes already."""
    return step.slots_taken((queue, limit_key)) - itself < at_most


def admit(step: Step, row: Row, cause: str, **changes: Any) -> Row:
    """Let a due task in, or block it at its limit."""
    if row.limit_key is None or row.at_most is None:
        return step.move(row, cause, PENDING, blocked_on=None, **changes)
    held = occupies(row.state)
    if fits(step, row.queue, row.limit_key, row.at_most, itself=int(held)):
        return step.move(row, cause, PENDING, blocked_on=None, **changes)
    return block(step, row, cause, IN_LINE, **changes)


def block(step: Step, row: Row, cause: str, on: str, **changes: Any) -> Row:
    """Put a task aside until its limit or the tasks that it waits for let it go on."""
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
    place = (left.queue, left.limit_key)
    while (waiting := step.next_in_line(place)) is not None:
        if step.slots_taken(place) >= (waiting.at_most or 0):
            return
        step.move(waiting, "admitted", PENDING, blocked_on=None, due=step.now)


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
    """End a task: record how, free its key, then let those go on that wait for it."""
    if row.unique_key is not None:
        leave_key(step, row, state)
    if row.blocked_on in _ON_OTHERS:
        step.waits.drop(row.key)
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
        tell_waiting(step, row.key, state)
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


# tasks that wait for others


def ask(step: Step, row: Row, cause: str) -> Row:
    """Let a task on its way, unless it comes after others that are not final yet."""
    after = step.after(row)
    if after is None:
        return schedule_or_admit(step, row, cause, row.due)
    upstream = [key for name in after.tasks if (key := key_or_none(name)) is not None]
    wait, live = asked(row.key, after, step.known(upstream))
    if not live:
        return go_on(step, row, cause, wait)
    step.wait_for(wait, live)
    return block(step, row, cause, "upstream")


def tell_waiting(step: Step, key: str, state: int) -> None:
    """Let go on what waited for an ended task last, and what waits for those that end by it.

    One after the other, not one inside the other: a chain may have thousands of tasks.
    """
    step.ended.append((key, state))
    if len(step.ended) > 1:
        return  # whoever tells of the first goes on with this one
    while step.ended:
        over = step.waits.end(*step.ended[0])
        step.load(wait.key for wait in over)
        for wait in over:
            row = step.row(wait.key)
            if row is not None and wait.on_failure is None:
                admit(step, row, "children_final")
            elif row is not None:
                go_on(step, row, "upstream_final", wait)
        step.ended.popleft()


def go_on(step: Step, row: Row, cause: str, wait: Wait) -> Row:
    """All upstream tasks are final: run, have nothing to run, or end as they did."""
    free = msgspec.structs.replace(row, blocked_on=None)
    if wait.broken_by is None or wait.broken_as is None or wait.on_failure == "continue":
        if wait.joins:
            return end(step, free, COMPLETED, "joined")
        return schedule_or_admit(step, free, cause, row.due)
    text = f"task {id_of(wait.broken_by)} {_BROKE[wait.broken_as]}, and this one comes after it"
    if wait.on_failure == "skip":
        return end(step, free, CANCELLED, "upstream_broken", reason="skipped")
    if wait.broken_as == FAILED:
        error = TaskError("UpstreamFailed", text, fingerprint="UpstreamFailed")
        return end(step, free, FAILED, "upstream_broken", error=error)
    return end(step, free, CANCELLED, "upstream_broken", reason=text)
