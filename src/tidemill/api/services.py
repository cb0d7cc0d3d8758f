"""What the routes of one event loop share: the application, and the calls that they join."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from tidemill.access import Tenant
from tidemill.api.auditing import Auditing
from tidemill.api.idempotency import Idempotency
from tidemill.api.joining import Joined
from tidemill.app import Call, Handle, Tidemill
from tidemill.engine import TaskQuery
from tidemill.errors import TaskNotFound
from tidemill.observe.reading import Metering
from tidemill.task import Task

T = TypeVar("T")


class Services:
    """Enqueues and reads for requests that come at the same time, and keeps their answers."""

    def __init__(self, app: Tidemill) -> None:
        self.app = app
        self.idempotency = Idempotency(app)
        self.metering = Metering(app)
        self.auditing = Auditing(app)
        self._enqueues: Joined[Call[Any], Handle[Any]] = Joined(app.enqueue_many)
        self._reads: Joined[str, Task | None] = Joined(self._found)

    async def enqueue(self, call: Call[Any]) -> Handle[Any]:
        """Enqueue one call; raises what `Tidemill.enqueue` raises."""
        unique = call.task_type.unique
        if unique is not None and unique.on_conflict == "reject":
            return await self.app.enqueue(call)
        return await self._enqueues.call(call)

    async def read(self, task_id: str, tenant: Tenant) -> Task:
        """The record of a task with all details; raises `TaskNotFound`, also for one of others."""
        task = await self._reads.call(self.app.handle(task_id).id)
        if task is None or not tenant.owns(task.user_id, task.project_id):
            raise TaskNotFound(task_id)
        return task

    def close(self) -> None:
        """Clean up after nobody any more."""
        self.idempotency.stop()

    async def _found(self, ids: Sequence[str]) -> Sequence[Task | None]:
        engine = await self.app.engine()
        wanted = tuple(dict.fromkeys(ids))
        page = await engine.find(TaskQuery(ids=wanted, limit=len(wanted), details=True))
        found = {task.id: task for task in page.tasks}
        return [found.get(each) for each in ids]


class Everywhere(Generic[T]):
    """What each event loop has one of, made when it first asks for it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def here(self) -> T:
        """That of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = self._by_loop[loop] = self._make()
        return found
