"""The knowledge application in a test: on a SQLite engine of its own, with a worker that runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from tidemill import Node, Resource, State, Task, TaskQuery, Tidemill, WorkerSettings
from tidemill_apps.knowledge.app import DATASET
from tidemill_apps.knowledge.documents import Library
from tidemill_apps.services.embedder import Embedder
from tidemill_apps.services.sqlite_file import SqliteFile

QUICK = WorkerSettings(threads=2, lease=timedelta(seconds=5), heartbeat=timedelta(milliseconds=200))


@asynccontextmanager
async def running(app: Tidemill) -> AsyncIterator[None]:
    """A node in this process, drained at the end."""
    node = Node(app, QUICK)
    async with asyncio.TaskGroup() as system:
        system.create_task(node.run())
        yield
        node.drain("the test is over")
    await app.close()


def library_resource(folder: Path, embedder: Embedder) -> Resource[Library]:
    """What takes the place of the application's library: one with a cheap embedder."""

    async def opened() -> AsyncIterator[Library]:
        file = SqliteFile(folder / "library.db")
        yield Library(file, DATASET, embedder)
        file.close()

    return Resource("library", opened)


async def tasks_of(app: Tidemill, task_type: str, *states: State) -> list[Task]:
    engine = await app.engine()
    query = TaskQuery(
        task_types=frozenset({task_type}), states=frozenset(states), limit=500, details=True
    )
    return list((await engine.find(query)).tasks)
