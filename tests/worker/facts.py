"""Waiting for facts: the events that a worker emits, and what the engine says of a task."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

from tidemill import Event, Tidemill
from tidemill.engine import Engine, TaskQuery
from tidemill.settings import WorkerSettings
from tidemill.task import State, Task
from tidemill.worker import Worker

E = TypeVar("E", bound=Event)
PATIENCE = 20.0
"""Seconds after which a fact that has not come true fails the test."""


class Facts:
    """All events of an application, and a way to wait for one."""

    def __init__(self, app: Tidemill) -> None:
        self.seen: list[Event] = []
        self._changed = asyncio.Event()
        app.bus.subscribe(Event, self._see)

    def _see(self, event: Event) -> None:
        self.seen.append(event)
        self._changed.set()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.seen if isinstance(event, kind)]

    async def first(self, kind: type[E], where: Callable[[E], bool] = lambda _: True) -> E:
        """The first event of a kind, once there is one."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.of(kind):
                    if where(event):
                        return event
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def working(app: Tidemill, **settings: Any) -> AsyncIterator[Worker]:
    """A worker that runs until the end of the block, and then drains."""
    async with at_work(Worker(app, WorkerSettings(**settings))) as worker:
        yield worker


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[Worker]:
    """Let a worker run until the end of the block, and then drain."""
    running = asyncio.ensure_future(worker.run())
    try:
        yield worker
    finally:
        worker.drain("the test is over", grace=timedelta(0))
        await running


async def record(engine: Engine, task_id: str) -> Task:
    """What the engine says of a task."""
    page = await engine.find(TaskQuery(ids=(task_id,), details=True))
    return page.tasks[0]


async def until(engine: Engine, task_id: str, *states: State) -> Task:
    """The record of a task once it is in one of these states."""
    return await _once(engine, task_id, lambda task: task.state in states)


async def begun(engine: Engine, task_id: str) -> Task:
    """The record of a task once its function has reported progress."""
    return await _once(engine, task_id, lambda task: task.progress is not None)


async def _once(engine: Engine, task_id: str, true: Callable[[Task], bool]) -> Task:
    cursor = ""
    async with asyncio.timeout(PATIENCE):
        while True:
            task = await record(engine, task_id)
            if true(task):
                return task
            page = await engine.feed(cursor, 1000, timedelta(seconds=1))
            cursor = page.cursor


async def final(engine: Engine, task_id: str) -> Task:
    """The record of a task once it has ended."""
    return await until(engine, task_id, State.COMPLETED, State.FAILED, State.CANCELLED)
