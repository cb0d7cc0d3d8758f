"""What a context may ask of a worker."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tidemill.app.tracing import Tracing
from tidemill.context import RUNNING, Running
from tidemill.engine import Engine, TaskQuery, Transaction
from tidemill.errors import WorkerError
from tidemill.task import LogLine, Progress, Task
from tidemill.worker.reports import Reports
from tidemill.worker.resources import Resources
from tidemill.worker.run import Run

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all runs of a worker share."""

    loop: asyncio.AbstractEventLoop
    engine: Engine
    resources: Resources
    reports: Reports
    worker: str = ""
    tracing: Tracing | None = None


@dataclass(frozen=True, slots=True)
class RunPorts:
    """The ports of one run. All but `tasks` and `begin` are safe to call from any thread."""

    run: Run
    shared: Shared

    def report(self, progress: Progress) -> None:
        self.shared.reports.progress(self.run, progress)

    def log(self, line: LogLine) -> None:
        self.shared.reports.log(self.run, line)

    def stopping(self) -> bool:
        if self.run.ending is not None:
            self.run.told = True
        return self.run.told or self.run.softened

    async def tasks(self, ids: tuple[str, ...]) -> dict[str, Task]:
        return await found(self.shared.engine, ids)

    async def begin(self) -> Transaction:
        if self.run.transaction is None:
            manager = self.shared.engine.transaction()
            self.run.transaction = (manager, await manager.__aenter__())
        return self.run.transaction[1]

    def resource(self, name: str) -> Any:
        return self.shared.resources.get(name)

    def block_on(self, work: Coroutine[Any, Any, R]) -> R:
        return block_on(work, self.shared.loop)


def entered(run: Run, shared: Shared) -> Callable[[], RunPorts]:
    """Let what this asyncio task does from now on belong to a run; gives the run's ports."""
    ports = partial(RunPorts, run, shared)
    RUNNING.set(Running(run.claim, ports, shared.worker))
    return ports


async def found(engine: Engine, ids: tuple[str, ...]) -> dict[str, Task]:
    """The records of tasks that exist, by id."""
    page = await engine.find(TaskQuery(ids=ids, limit=max(1, len(ids))))
    return {task.id: task for task in page.tasks}


def block_on(work: Coroutine[Any, Any, R], loop: asyncio.AbstractEventLoop) -> R:
    """Run a coroutine on a loop, from another thread, to its end."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run_coroutine_threadsafe(work, loop).result()
    work.close()
    raise WorkerError(f"block_on would stop {running}: an async function awaits instead")
