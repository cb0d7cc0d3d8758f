"""Pages of tasks: by number, as people leaf, or after a cursor, as programs read on.

A page number costs what stands before it, so that it reaches 10,000 tasks; a cursor goes on for
ever. Totals are exact where the engine has counted, else they are counted up to 10,000.
"""

import base64
import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidemill.api.problems import invalid
from tidemill.api.records.tasks import task_record
from tidemill.engine import Engine, TaskQuery
from tidemill.interface.problems import FieldProblem
from tidemill.interface.tasks import TaskPage, TaskRecord
from tidemill.task import Task

MOST_COUNTED: Final = 10_000
"""Tasks that are counted for a total, and that page numbers reach."""

LARGEST_PAGE: Final = 100
USUAL_PAGE: Final = 20

_STEP: Final = 1_000
_SEAL_BYTES: Final = 6

PageNumber = Annotated[int, Meta(ge=1, le=MOST_COUNTED, description="From 1.")]
PageSize = Annotated[int, Meta(ge=1, le=LARGEST_PAGE, description="Tasks on a page.")]
Cursor = Annotated[str, Meta(max_length=100, description="The `next_cursor` of the page before.")]


async def numbered(engine: Engine, query: TaskQuery | None, page: int, size: int) -> TaskPage:
    """The page of that number; a query of None finds nothing."""
    skipped = (page - 1) * size
    if skipped + size > MOST_COUNTED:
        raise invalid(
            FieldProblem("page", f"ends behind the first {MOST_COUNTED:,} tasks: use a cursor")
        )
    if query is None:
        return TaskPage(
            tasks=(), page=page, page_size=size, total=0, total_capped=False, next_cursor=None
        )
    head, cursor = await _walk(engine, query, None, skipped + size)
    total = await _total(engine, query)
    if total is None:
        more = MOST_COUNTED + 1 - len(head)
        rest, _ = await _walk(engine, query, cursor, more) if cursor else ([], None)
        total = len(head) + len(rest)
        capped = total > MOST_COUNTED
        total = min(total, MOST_COUNTED)
    else:
        capped = False
    return TaskPage(
        tasks=_records(head[skipped:]),
        page=page,
        page_size=size,
        total=total,
        total_capped=capped,
        next_cursor=_sealed(cursor),
    )


async def after_cursor(engine: Engine, query: TaskQuery | None, cursor: str, size: int) -> TaskPage:
    """The page behind a cursor; the empty one stands before the newest task."""
    place = _opened(cursor)
    tasks, following = await _walk(engine, query, place, size) if query else ([], None)
    return TaskPage(
        tasks=_records(tasks),
        page=None,
        page_size=size,
        total=None,
        total_capped=False,
        next_cursor=_sealed(following),
    )


async def _walk(
    engine: Engine, query: TaskQuery, cursor: str | None, most: int
) -> tuple[list[Task], str | None]:
    """Up to so many tasks behind a cursor, and the cursor behind them."""
    found: list[Task] = []
    while True:
        step = min(_STEP, most - len(found))
        part = await engine.find(msgspec.structs.replace(query, before=cursor, limit=step))
        found += part.tasks
        cursor = part.cursor
        if cursor is None or len(found) >= most:
            return found, cursor


async def _total(engine: Engine, query: TaskQuery) -> int | None:
    """How many tasks match, where the engine has counted them."""
    counted = TaskQuery(states=query.states, task_types=query.task_types, queues=query.queues)
    if msgspec.structs.replace(query, before=None, limit=counted.limit) != counted:
        return None
    return sum(
        each.count
        for each in (await engine.stats()).counts
        if (not query.states or each.state in query.states)
        and (not query.task_types or each.task_type in query.task_types)
        and (not query.queues or each.queue in query.queues)
    )


def _records(tasks: Iterable[Task]) -> tuple[TaskRecord, ...]:
    return tuple(task_record(each, details=False) for each in tasks)


# cursors as clients see them: an engine gets back only what it gave


def _sealed(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    raw = cursor.encode()
    return base64.urlsafe_b64encode(_seal(raw) + raw).decode().rstrip("=")


def _opened(text: str) -> str | None:
    if not text:
        return None
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        seal, cursor = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if seal == _seal(cursor):
            return cursor.decode()
    except ValueError:
        pass
    raise invalid(FieldProblem("cursor", "is none that was given: begin without one"))


def _seal(cursor: bytes) -> bytes:
    return hashlib.blake2b(cursor, digest_size=_SEAL_BYTES).digest()
