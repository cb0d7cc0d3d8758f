"""Finding tasks for people: the index is brought up to date, walked, and its pages are joined."""

import asyncio
from collections.abc import Callable
from typing import Final

from tidemill.clock import to_micros
from tidemill.engine import TaskPage, TaskQuery
from tidemill.engines.redis.shard import Shard
from tidemill.task import Task

STEP: Final = 300
"""Transitions that one call indexes: one or two milliseconds of the server's time, in which nobody
else is served."""

STEPS: Final = 300
"""Calls that one reader makes to catch up: with more behind, it reads what is there."""

LOOK: Final = 2_000
"""Tasks that one call looks at, so that a rare match in a long index does not stop the server."""

MOST: Final = 1_000_000
"""Tasks that the index of a shard holds; beyond it the oldest completed ones leave. They stay
readable by id until they are pruned."""


async def catch_up(shard: Shard, steps: int = STEPS) -> None:
    """Index what the feed told since, in so many calls at most."""
    for _ in range(steps):
        indexed = await shard.index(STEP, MOST)
        if not indexed.left and not indexed.again:
            return


async def behind(shard: Shard) -> int:
    """How many transitions the index does not know; at least 1 while it is made again."""
    indexed = await shard.index(0, MOST)
    return indexed.left + indexed.again


async def reindex(shard: Shard, told: Callable[[int], None]) -> int:
    """Index all tasks again; tells how many it has so far, and answers how many there were."""
    indexed = await shard.index(STEP, MOST, again=True)
    total = indexed.shown
    while indexed.again or indexed.left:
        told(total)
        indexed = await shard.index(STEP, MOST)
        total += indexed.shown
    told(total)
    return total


async def find(shard: Shard, query: TaskQuery) -> list[Task]:
    """The tasks of one page and one more, newest id first."""
    most = query.limit + 1
    if query.ids:
        return (await _named(shard, query))[:most]
    await catch_up(shard)
    found: list[Task] = []
    before = query.before
    while True:
        tasks, before = await shard.find(_wanted(query, most - len(found), before))
        found += [task for task in tasks if _says(task, query.error_contains)]
        if before is None or len(found) >= most:
            return found
        await asyncio.sleep(0)


def page(found: list[Task], limit: int) -> TaskPage:
    """What `find` found as a page."""
    shown = tuple(found[:limit])
    more = len(found) > limit and bool(shown)
    return TaskPage(tasks=shown, cursor=shown[-1].id if more else None)


async def _named(shard: Shard, query: TaskQuery) -> list[Task]:
    ids = sorted(set(query.ids), reverse=True)
    tasks = await shard.read(ids, details=query.details)
    return [task for task in tasks if _matches(task, query)]


def _wanted(query: TaskQuery, most: int, before: str | None) -> dict[str, object]:
    restricting: dict[str, object] = {
        "before": before,
        "states": [state.value for state in query.states],
        "types": list(query.task_types),
        "queues": list(query.queues),
        "tags": list(query.tags),
        "user": query.user_id,
        "project": query.project_id,
        "parent": query.parent_id,
        "failure": query.fingerprint,
        "failed": query.error_contains is not None or None,
        "from": query.enqueued_from and to_micros(query.enqueued_from),
        "till": query.enqueued_until and to_micros(query.enqueued_until),
    }
    there = {name: value for name, value in restricting.items() if value not in (None, [])}
    return there | {"details": query.details, "most": most, "look": LOOK}


def _matches(task: Task, query: TaskQuery) -> bool:
    return (
        (not query.states or task.state in query.states)
        and (not query.task_types or task.task_type in query.task_types)
        and (not query.queues or task.queue in query.queues)
        and set(query.tags) <= set(task.tags)
        and query.user_id in (None, task.user_id)
        and query.project_id in (None, task.project_id)
        and query.parent_id in (None, task.parent_id)
        and query.fingerprint in (None, task.error and task.error.fingerprint)
        and _says(task, query.error_contains)
        and (query.enqueued_from is None or task.enqueued_at >= query.enqueued_from)
        and (query.enqueued_until is None or task.enqueued_at < query.enqueued_until)
        and (query.before is None or task.id < query.before)
    )


def _says(task: Task, needle: str | None) -> bool:
    if needle is None:
        return True
    error = task.error
    return error is not None and needle.lower() in f"{error.type}\n{error.message}".lower()
