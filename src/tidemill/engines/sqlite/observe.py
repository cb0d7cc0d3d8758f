"""Find and stats: what people and programs read of tasks."""

from typing import Final

import apsw
import msgspec

from tidemill.clock import from_micros
from tidemill.engine import QueueStatus, StateCount, Stats, TaskPage, TaskQuery
from tidemill.engines.sqlite.queues import Queue
from tidemill.engines.sqlite.rows import (
    STATES,
    after_from,
    attempt_from,
    error_from,
    extra_from,
    id_of,
    log_from,
    progress_from,
    unique_from,
)
from tidemill.engines.sqlite.search import search
from tidemill.engines.sqlite.statements import as_json, one, statement
from tidemill.task import Attempt, Limit, State, Task, TaskError


class _Found(msgspec.Struct, frozen=True, array_like=True):
    """A task as `task.sql` selects it."""

    key: str
    task_type: str
    queue: str
    state: int
    priority: int
    attempt: int
    attempt_limit: int
    max_attempts: int
    enqueued_at: int
    due: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    prune_at: int | None
    worker: str | None
    cancelling: int
    alone: int
    crashes: int
    blocked_on: str | None
    awaiting: int
    after: str | None
    unique_key: str | None
    limit_key: str | None
    at_most: int | None
    user_id: str | None
    project_id: str | None
    parent_id: str | None
    extra: str
    progress: str | None
    result: str | None
    error: str
    reason: str | None
    payload: str | None
    attempts: list[str] | None
    logs: list[str] | None


_found = msgspec.json.Decoder(list[_Found]).decode
_counts = msgspec.json.Decoder(list[tuple[str, str, int, int]]).decode
_queues = msgspec.json.Decoder(list[tuple[Queue, int | None]]).decode
_limited = msgspec.json.Decoder(list[tuple[Queue, int, int, int]]).decode


def stats(on: apsw.Connection, now: int) -> Stats:
    """Counts and queues now."""
    counts = [
        StateCount(queue, task_type, STATES[state], n)
        for queue, task_type, state, n in _counts(one(on, "stats_counts"))
    ]
    counts.sort(key=lambda count: (count.queue, count.task_type, count.state))
    queues = tuple(
        QueueStatus(
            definition=queue.definition,
            paused=bool(queue.paused),
            oldest_pending_at=None if oldest is None else from_micros(oldest),
        )
        for queue, oldest in _queues(one(on, "stats_queues"))
    )
    return Stats(at=from_micros(_now(on, now)), counts=tuple(counts), queues=queues)


def find(on: apsw.Connection, query: TaskQuery) -> TaskPage:
    """Tasks that match, newest id first."""
    if query.limit <= 0:
        return TaskPage((), None)
    chosen = search(on, query)
    if chosen is None:
        return TaskPage((), None)
    text = on.execute(
        f"SELECT json_group_array({statement('task').strip()} ORDER BY t.id DESC) "
        f"FROM ({chosen.sql}) CROSS JOIN tidemill_task AS t ON t.seq = chosen",
        (query.details, query.limit + 1, *chosen.values),
    ).get
    found = _found(text)
    page = tuple(_task(task, details=query.details) for task in found[: query.limit])
    more = len(found) > len(page)
    return TaskPage(tasks=page, cursor=page[-1].id if more else None)


def _task(row: _Found, *, details: bool) -> Task:
    extra = extra_from(row.extra)
    state = STATES[row.state]
    error = error_from(row.error)
    return Task(
        id=id_of(row.key),
        task_type=row.task_type,
        queue=row.queue,
        state=state,
        priority=row.priority,
        attempt=row.attempt,
        attempt_limit=row.attempt_limit,
        max_attempts=row.max_attempts,
        enqueued_at=from_micros(row.enqueued_at),
        run_at=from_micros(row.due),
        started_at=None if row.started_at is None else from_micros(row.started_at),
        finished_at=None if row.finished_at is None else from_micros(row.finished_at),
        expires_at=None if row.expires_at is None else from_micros(row.expires_at),
        prune_at=None if row.prune_at is None else from_micros(row.prune_at),
        timeout=extra.timeout,
        soft_timeout=extra.soft_timeout,
        retention=extra.retention,
        worker=row.worker,
        cancel_requested=bool(row.cancelling),
        alone=bool(row.alone),
        crashes=row.crashes,
        blocked_on=row.blocked_on,
        awaiting=row.awaiting,
        after=None if row.after is None else after_from(bytes.fromhex(row.after)),
        unique=unique_from(row.unique_key, extra),
        limit=_limit(row),
        user_id=row.user_id,
        project_id=row.project_id,
        tags=extra.tags,
        parent_id=row.parent_id,
        retried_from=extra.retried_from,
        headers=extra.headers,
        progress=None if row.progress is None else progress_from(row.progress),
        payload=None if row.payload is None else bytes.fromhex(row.payload),
        result=None if row.result is None else bytes.fromhex(row.result),
        error=error,
        reason=row.reason,
        attempts=_attempts(row, state, error) if details else (),
        logs=tuple(log_from(line) for line in row.logs or ()),
    )


def _limit(row: _Found) -> Limit | None:
    if row.limit_key is None or row.at_most is None:
        return None
    return Limit(row.limit_key, row.at_most)


def _attempts(row: _Found, state: State, error: TaskError | None) -> tuple[Attempt, ...]:
    """Ended attempts, then the one that the record itself tells of."""
    told = tuple(attempt_from(bytes.fromhex(body)) for body in row.attempts or ())
    if row.started_at is None or row.attempt == (told[-1].number if told else 0):
        return told
    if state is State.RUNNING:
        ended = None
    elif state.final and row.finished_at is not None:
        ended = from_micros(row.finished_at)
    else:
        return told
    last = Attempt(
        number=row.attempt,
        worker=row.worker or "",
        started_at=from_micros(row.started_at),
        ended_at=ended,
        outcome=None if ended is None else state.value,
        error=None if ended is None else error,
    )
    return (*told, last)


_NEVER: Final = float("inf")


class Outlook(msgspec.Struct, frozen=True):
    """When there may be something to claim: in so many seconds.

    `limited`: queues with limits of their own are waited for, so that a task which becomes pending
    there may not start yet.
    """

    within: float
    limited: bool = False


def outlook(
    on: apsw.Connection,
    now: int,
    queues: tuple[str, ...] | None,
    task_types: frozenset[str] | None,
    worker: str,
) -> Outlook:
    """When a task waits in one of these queues that this worker could take."""
    names = None if queues is None else as_json(list(queues))
    types = None if task_types is None else as_json(sorted(task_types))
    if one(on, "claimable", (names, types)):
        return Outlook(0)
    limited = _limited(one(on, "limited_queues", (names, types, worker)))
    ahead = [
        opens
        for queue, pending, running, of_worker in limited
        if pending and (opens := queue.opens_in(running, of_worker, _now(on, now))) is not None
    ]
    return Outlook(min(ahead) / 1e6 if ahead else _NEVER, limited=bool(limited))


def told(*, something: bool) -> Outlook:
    """For who waits for the feed: now if there is something, else when it rings."""
    return Outlook(0 if something else _NEVER)


def _now(on: apsw.Connection, now: int) -> int:
    return max(now, one(on, "last_instant") or 0)
