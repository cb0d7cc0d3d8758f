"""Acting on every task that a query finds, in batches."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from tidemill.cli.progress import progress
from tidemill.cli.texts import Say
from tidemill.engine import Engine, TaskQuery
from tidemill.task import Task

PAGE = 500


async def pages(engine: Engine, query: TaskQuery) -> AsyncIterator[tuple[Task, ...]]:
    """Every task that matches now, newest first, page by page."""
    query = msgspec.structs.replace(query, limit=PAGE)
    while True:
        page = await engine.find(query)
        yield page.tasks
        if page.cursor is None:
            return
        query = msgspec.structs.replace(query, before=page.cursor)


async def all_found(engine: Engine, query: TaskQuery) -> list[str]:
    """The id of every task that matches now, newest first."""
    return [task.id async for page in pages(engine, query) for task in page]


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
