"""Settle: the table of rule 4."""

from collections.abc import Sequence

from tidemill.clock import micros
from tidemill.engine import MAX_CRASHES
from tidemill.engines.sqlite.claim import claimed
from tidemill.engines.sqlite.enqueue import enqueue
from tidemill.engines.sqlite.rows import (
    CANCELLED,
    COMPLETED,
    FAILED,
    RUNNING,
    STATES,
    Row,
    key_or_none,
    pack,
    storable,
)
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import admit, block, end, schedule_or_admit
from tidemill.engines.sqlite.waits import Wait
from tidemill.outcome import (
    Cancelled,
    Completed,
    Failed,
    Outcome,
    Released,
    Retried,
    Settlement,
    Snoozed,
    Waiting,
)
from tidemill.task import State


def settle(step: Step, settlements: Sequence[Settlement]) -> list[State | None]:
    """Record outcomes of claims still held, in order."""
    held = claimed(step, "claimed_by", (settlement.claim for settlement in settlements))
    return [
        _settle(step, settlement, held[n]) if n in held else None
        for n, settlement in enumerate(settlements)
    ]


def _settle(step: Step, settlement: Settlement, key: str) -> State | None:
    row = step.row(key)
    if row is None:
        return None
    if row.state != RUNNING:
        return STATES[row.state]
    if settlement.progress is not None or settlement.logs:
        step.report(row.seq, settlement.progress, settlement.logs)
    outcome = settlement.outcome
    if row.cancelling and not isinstance(outcome, Completed | Failed | Cancelled):
        return _state(end(step, row, CANCELLED, "cancelled", reason=row.reason))
    if settlement.enqueue:
        enqueue(step, settlement.enqueue)
        row = step.row(key) or row
    return _state(_carry_out(step, row, outcome))


def _carry_out(step: Step, row: Row, outcome: Outcome) -> Row:
    match outcome:
        case Completed(result):
            return end(step, row, COMPLETED, "completed", result=result)
        case Failed(error):
            return end(step, row, FAILED, "failed", error=error)
        case Cancelled(reason):
            return end(step, row, CANCELLED, "cancelled", reason=reason)
        case Retried():
            return _again(step, row, outcome)
        case Snoozed(delay, reason):
            return schedule_or_admit(
                step,
                row,
                "snoozed",
                step.now + micros(delay),
                attempt=row.attempt - 1,
                reason=storable(reason),
            )
        case Waiting(children):
            return _wait(step, row, children)
        case Released():
            return admit(step, row, "released", attempt=row.attempt - 1)


def _state(row: Row) -> State:
    return STATES[row.state]


def _again(step: Step, row: Row, outcome: Retried) -> Row:
    crashes = row.crashes + outcome.crashed
    if row.attempt >= row.attempt_limit or (outcome.crashed and crashes >= MAX_CRASHES):
        return end(step, row, FAILED, "failed", error=outcome.error, crashes=crashes)
    step.ends.settled(row, "retried")
    step.ended_attempt(row, "retried", outcome.error)
    again = schedule_or_admit(
        step,
        row,
        "retried",
        step.now + micros(outcome.delay),
        crashes=crashes,
        alone=int(outcome.crashed),
        error=pack(outcome.error),
        fingerprint=storable(outcome.error.fingerprint),
    )
    return step.write(again, whole=True)


def _wait(step: Step, row: Row, children: Sequence[str]) -> Row:
    keys = {key for child in children if (key := key_or_none(child)) is not None}
    live = {key for key, state in step.known(list(keys)).items() if state < COMPLETED}
    if not live:
        return admit(step, row, "waiting", attempt=row.attempt - 1)
    step.wait_for(Wait(row.key, len(live)), live)
    return block(step, step.row(row.key) or row, "waiting", "children", attempt=row.attempt - 1)
