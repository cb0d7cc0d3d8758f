"""What goes from the executor to the settler, and how it is settled."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from tidemill.engine import Engine, Transaction
from tidemill.errors import EngineError
from tidemill.outcome import Completed, Outcome, Settlement
from tidemill.task import State
from tidemill.worker.reports import Reports
from tidemill.worker.run import Run
from tidemill.worker.verdict import Verdict, raised

Decided = tuple[Run, Verdict]
Settled = Callable[[Run, Outcome, State | None], None]
"""Told of every answer to a settlement; None means stale."""


def settlement(run: Run, verdict: Verdict, reports: Reports) -> Settlement:
    """A verdict as what the engine is told, with what the run reported last."""
    report = reports.last(run)
    if report is None:
        return Settlement(run.claim.ref, verdict.outcome, verdict.enqueue)
    return Settlement(
        run.claim.ref, verdict.outcome, verdict.enqueue, report.progress, tuple(report.logs)
    )


async def commit(
    run: Run, verdict: Verdict | None, engine: Engine, reports: Reports, settled: Settled
) -> Verdict | None:
    """End the run's own transaction: with its settlement in it when it completed, else undone.

    Answers what is left to settle, None when there is nothing. A commit that fails may have
    happened; then the engine answers the repeated settlement with what is recorded, and changes
    nothing.
    """
    if run.transaction is None:
        return verdict
    opened, tx = run.transaction
    if verdict is None or not isinstance(verdict.outcome, Completed):
        await _undo(opened)
        return verdict
    try:
        (state,) = await engine.settle([settlement(run, verdict, reports)], tx=tx)
        if state is not None:
            await opened.__aexit__(None, None, None)
    except Exception as error:  # noqa: BLE001  # whatever failed, the task did not complete
        await _undo(opened)
        return Verdict(raised(run.task_type, run.claim, error))
    if state is None:
        await _undo(opened)
    settled(run, verdict.outcome, state)
    return None


async def _undo(opened: AbstractAsyncContextManager[Transaction]) -> None:
    reason = EngineError("the attempt did not complete: its transaction is rolled back")
    with suppress(Exception):  # it raises the reason again, or was over already
        await opened.__aexit__(EngineError, reason, None)
