"""Restore: rule 18."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tidemill.clock import from_micros, micros, to_micros
from tidemill.engine import Mark, Tally
from tidemill.engines.sqlite import history, marks
from tidemill.engines.sqlite.enqueue import Known, known_of
from tidemill.engines.sqlite.keys import hold_key, key_holder
from tidemill.engines.sqlite.limits import IN_LINE
from tidemill.engines.sqlite.rows import (
    BLOCKED,
    CODES,
    PENDING,
    SCHEDULED,
    Past,
    key_of,
    pack,
    storable,
)
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import fits, go_on, tell_waiting
from tidemill.engines.sqlite.waits import Wait, asked
from tidemill.task import State, Task


def restore(
    step: Step, tasks: Sequence[Task], kept: Sequence[Mark], tallies: Sequence[Tally]
) -> list[bool]:
    """Take in tasks, marks and tallies that are not there yet."""
    marks.take_in(step.on, kept)
    if tallies:
        step.write_history()
        history.take_in(step.on, step.now, tallies)
    keys = [key_of(task.id) for task in tasks]
    known = known_of(step, tasks, keys)
    put = [_is_new(step, task, key, known) for task, key in zip(tasks, keys, strict=True)]
    for new, task, key in zip(put, tasks, keys, strict=True):
        if new:
            _restore(step, task, key, known)
    return put


def _is_new(step: Step, task: Task, key: str, known: Known) -> bool:
    """Whether a task is not here yet. From now on it counts as one that is."""
    step.queue(task.queue)
    new = key not in known.states
    if new:
        known.states[key] = CODES[task.state]
    return new


def _restore(step: Step, task: Task, key: str, known: Known) -> None:
    here = _here(task, from_micros(step.now))
    if task.state.final:
        _keep_cached(step, task, key)
    else:
        _take_key(step, here, key)
    wait: Wait | None = None
    live: set[str] = set()
    state, blocked_on = _state(step, here)
    if here.blocked_on == "upstream" and here.after is not None and not here.state.final:
        known.look_again(step, here.after)
        wait, live = asked(key, here.after, known.states)
        state, blocked_on = BLOCKED, "upstream"
    seq = step.insert(
        here.as_new(),
        key,
        state,
        to_micros(here.run_at),
        blocked_on,
        awaited=key in known.upstream,
        told=wait is None or bool(live),
        past=_past(step, here),
    )
    for attempt in here.attempts:
        step.add_attempt(seq, attempt)
    step.report(seq, here.progress, here.logs)
    if wait is None:
        _tell_end(step, task, here, key, known)
    elif live:
        step.wait_for(wait, live)
    else:
        step.load([key])
        row = step.row(key)
        if row is not None:
            state = go_on(step, row, "restored", wait).state
    known.states[key] = state


def _tell_end(step: Step, task: Task, here: Task, key: str, known: Known) -> None:
    """Count a task that was cancelled on the way, and let those go on that wait for it."""
    if here.state is task.state:
        return
    ledger = step.ledger
    step.ends.count(ledger.queues[task.queue].code, ledger.types[task.task_type], here.state.value)
    if key in known.upstream:
        tell_waiting(step, key, CODES[here.state])


def _here(task: Task, now: datetime) -> Task:
    """A task as it goes on here: without the claim, cancelled if that was asked for.

    Its attempts are those that its own fields do not tell of.
    """
    running = task.state is State.RUNNING
    here = msgspec.structs.replace(
        task, attempts=task.earlier_attempts, attempt=task.attempt - running
    )
    if task.state.final or not task.cancel_requested:
        return here
    kept = task.retention.cancelled
    return msgspec.structs.replace(
        here,
        state=State.CANCELLED,
        finished_at=now,
        prune_at=None if kept is None else now + kept,
        result=None,
        error=None,
    )


def _state(step: Step, task: Task) -> tuple[int, str | None]:
    """The state that a task is restored to, and what it is blocked on."""
    if task.state.final:
        return CODES[task.state], None
    if to_micros(task.run_at) > step.now:
        return SCHEDULED, None
    limit = task.limit
    if limit is None or fits(step, step.queue(task.queue).code, limit.key, limit.at_most):
        return PENDING, None
    return BLOCKED, IN_LINE


def _take_key(step: Step, task: Task, key: str) -> None:
    """Take a task's unique key, if it is free, for as long as there is a reason left to."""
    unique = task.unique
    if unique is None:
        return
    until = None
    if unique.lasting is not None:
        until = to_micros(task.enqueued_at) + micros(unique.lasting)
    over = task.state.final if until is None else until <= step.now
    queue = step.queue(task.queue).code
    if not over and key_holder(step, queue, unique.key) is None:
        hold_key(step, queue, unique.key, key, until)


def _keep_cached(step: Step, task: Task, key: str) -> None:
    """Give a completed task its key for as long as its result is still cached."""
    unique = task.unique
    if unique is None or unique.cached is None or task.state is not State.COMPLETED:
        return
    until = (_instant(task.finished_at) or step.now) + micros(unique.cached)
    queue = step.queue(task.queue).code
    if until > step.now and key_holder(step, queue, unique.key) is None:
        hold_key(step, queue, unique.key, key, until)


def _past(step: Step, task: Task) -> Past:
    error = task.error
    return Past(
        enqueued_at=to_micros(task.enqueued_at),
        attempt_limit=task.attempt_limit,
        attempt=task.attempt,
        alone=int(task.alone),
        crashes=task.crashes,
        worker=None if task.worker is None else step.ledger.worker(step.on, task.worker),
        started_at=_instant(task.started_at),
        finished_at=_instant(task.finished_at),
        prune_at=_instant(task.prune_at),
        reason=None if task.reason is None else storable(task.reason),
        error=None if error is None else pack(error),
        fingerprint=None if error is None else storable(error.fingerprint),
        result=task.result,
    )


def _instant(at: datetime | None) -> int | None:
    return None if at is None else to_micros(at)
