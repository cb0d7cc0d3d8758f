"""Removing final tasks by their age, before their own retention is over."""

from collections.abc import Collection
from datetime import timedelta

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
    if not frozenset(states) <= FINAL:
        live = ", ".join(sorted(set(states) - FINAL))
        raise ConfigError(f"{live} tasks cannot be pruned: only final ones can be removed")
    if older_than < timedelta():
        raise ConfigError(f"tasks cannot be older than {older_than}: give a duration of 0 or more")
    ended_by = await now(engine) - older_than
    pruned, cursor = 0, None
    while states:
        page = await engine.find(
            TaskQuery(
                states=frozenset(states),
                task_types=frozenset(task_types),
                enqueued_until=ended_by + MICROSECOND,  # what ended by then was enqueued by then
                before=cursor,
                limit=BATCH,
            )
        )
        over = [
            task.id
            for task in page.tasks
            if task.finished_at is not None and task.finished_at <= ended_by
        ]
        pruned += sum(await engine.remove(over))
        cursor = page.cursor
        if cursor is None:
            break
    return pruned
