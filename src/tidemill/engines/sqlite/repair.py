"""Promote, reclaim and prune: rules 7 and 15."""

from collections.abc import Iterable
from datetime import timedelta

from tidemill.engine import Promoted, Reclaimed
from tidemill.engines.sqlite import history
from tidemill.engines.sqlite.rows import (
    CANCELLED,
    FAILED,
    STATES,
    Row,
    extra_from,
    id_of,
    pack,
)
from tidemill.engines.sqlite.statements import one, run, statement
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transitions import admit, end, expire
from tidemill.task import TaskError


def promote(step: Step, limit: int) -> Promoted:
    """Cancel expired waiting tasks, then move due ones on."""
    expired = step.select("expired", step.now, limit)
    for row in sorted(expired, key=lambda row: (row.expires_at or 0, row.key)):
        expire(step, step.row(row.key) or row)
    due = step.select("due", step.now, limit - len(expired))
    for row in sorted(due, key=lambda row: (row.due, row.key)):
        admit(step, step.row(row.key) or row, "promoted")
    step.flush()
    at = one(step.on, "next_due")
    next_in = None if at is None else timedelta(microseconds=max(0, at - step.now))
    return Promoted(moved=len(expired) + len(due), next_in=next_in)


def reclaim(step: Step, limit: int) -> list[Reclaimed]:
    """Take back expired leases, the longest expired first."""
    lost = step.select("lost", step.now, limit)
    lost.sort(key=lambda row: (row.lease_end or 0, row.key))
    return [_reclaim(step, step.row(row.key) or row) for row in lost]


def _reclaim(step: Step, row: Row) -> Reclaimed:
    worker = step.worker_name(row.worker)
    ended = _take_back(step, row, worker)
    return Reclaimed(
        id_of(row.key),
        step.ledger.type_names[row.type],
        step.ledger.queue_of[row.queue].name,
        worker,
        STATES[ended.state],
    )


def _take_back(step: Step, row: Row, worker: str) -> Row:
    if row.cancelling:
        return end(step, row, CANCELLED, "reclaimed", reason=row.reason, claim_kept=False)
    text = f"worker {worker} stopped extending its lease during attempt {row.attempt}"
    error = TaskError(type="WorkerLost", message=text, fingerprint="WorkerLost")
    if row.attempt >= row.attempt_limit:
        return end(step, row, FAILED, "reclaimed", error=error, claim_kept=False)
    step.ends.count(row.queue, row.type, "reclaimed")
    step.ended_attempt(row, "lost", error)
    again = admit(
        step,
        row,
        "reclaimed",
        alone=1,
        claim_kept=False,
        error=pack(error),
        fingerprint=error.fingerprint,
    )
    return step.write(again, whole=True)


def prune(step: Step, limit: int) -> int:
    """Forget final tasks whose retention is over, the longest over first."""
    step.on.execute(statement("keys_over"), (step.now,))
    over = step.select("over", step.now, limit)
    forget(step, over)
    history.trim(step.on, step.now)
    return len(over)


def forget(step: Step, rows: Iterable[Row]) -> None:
    """Remove final tasks with all that belongs to them."""
    rows = list(rows)
    if not rows:
        return
    step.write_tasks()
    tags, keys = [], []
    for row in rows:
        raw = bytes.fromhex(row.key)
        extra = extra_from(row.extra)
        tags += [(tag, raw) for tag in extra.tags]
        if row.unique_key is not None:
            keys.append((row.queue, row.unique_key, raw))
        step.drop(row)
    seqs = f"[{','.join(str(row.seq) for row in rows)}]"
    for table in ("body", "after", "progress", "log", "attempt"):
        step.on.execute(statement(f"remove_{table}"), (seqs,))
    step.on.execute(statement("remove"), (seqs,))
    if tags:
        run(step.on, "remove_tag", tags)
    if keys:
        run(step.on, "key_free", keys)
