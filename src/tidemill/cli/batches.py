"""Acting on every task that a query finds, in batches."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tidemill.cli.progress import progress
from tidemill.cli.texts import Say
from tidemill.engine import Engine, TaskQuery
from tidemill.task import Task

PAGE = 500


async def all_found(engine: Engine, query: TaskQuery) -> list[Task]:
    """Every task that matches now, newest first, read page by page."""
    found: list[Task] = []
    page = await engine.find(msgspec.structs.replace(query, limit=PAGE))
    found += page.tasks
    while page.cursor is not None:
        query = msgspec.structs.replace(query, limit=PAGE, before=page.cursor)
        page = await engine.find(query)
        found += page.tasks
    return found


async def in_batches(
    say: Say, doing: str, ids: Sequence[str], act: Callable[[Sequence[str]], Awaitable[int]]
) -> int:
    """Act on ids in batches with a progress bar; answers the sum of what `act` answers."""
    done = 0
    with progress(say, doing, len(ids)) as advance:
        for start in range(0, len(ids), PAGE):
            done += await act(ids[start : start + PAGE])
            advance(min(start + PAGE, len(ids)))
    return done
