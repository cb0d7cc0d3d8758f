"""Removing final tasks by their age, before their own retention is over."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime, timedelta

import msgspec

from tidemill.app.statistics import now
from tidemill.clock import MICROSECOND
from tidemill.engine import Engine, TaskQuery
from tidemill.errors import ConfigError
from tidemill.task import FINAL, State

BATCH = 500
"""Tasks that one step looks at and removes at most, so that others get their turn."""


async def prune(
    engine: Engine,
    older_than: timedelta,
    *,
    states: Collection[State] = FINAL,
    task_types: Collection[str] = (),
) -> int:
    """Remove tasks that ended longer ago than this; answers how many."""
    if older_than < timedelta():
        raise ConfigError(f"tasks cannot be older than {older_than}: give a duration of 0 or more")
    by = await now(engine) - older_than
    pruned = 0
    async for ids in ended(engine, by, states, task_types):
        pruned += sum(await engine.remove(ids))
    return pruned


async def ended(
    engine: Engine, by: datetime, states: Collection[State], task_types: Collection[str]
) -> AsyncIterator[list[str]]:
    """The ids of the tasks that ended by then, a batch at a time; no states choose none."""
    if not frozenset(states) <= FINAL:
        live = ", ".join(sorted(set(states) - FINAL))
        raise ConfigError(f"{live} tasks cannot be pruned: only final ones can be removed")
    query = TaskQuery(
        states=frozenset(states),
        task_types=frozenset(task_types),
        enqueued_until=by + MICROSECOND,  # what ended by then was enqueued by then
        limit=BATCH,
    )
    while states:
        page = await engine.find(query)
        yield [task.id for task in page.tasks if task.finished_at and task.finished_at <= by]
        if page.cursor is None:
            return
        query = msgspec.structs.replace(query, before=page.cursor)
