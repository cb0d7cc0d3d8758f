"""Where the tasks of one worker run: its pools, opened by what its settings say."""

from collections.abc import Mapping
from typing import NamedTuple

from tidemill.app import Tidemill
from tidemill.settings import AUTO, WorkerSettings
from tidemill.task_type import Isolation, TaskType
from tidemill.worker.adaptive import MOST, START
from tidemill.worker.batches import BatchPool
from tidemill.worker.children import ChildPool
from tidemill.worker.pools import LoopPool, ThreadPool
from tidemill.worker.ports import Shared
from tidemill.worker.run import Pool
from tidemill.worker.slots import Slots

SUSPECTS = 16
"""Tasks of lost workers that run at once, each alone in a child process.

A worker that is killed leaves up to its concurrency of them, and all but one are innocent: with as
few children as there are cores, the last of 100 tasks of a second each would wait for a minute.
"""

OWN = 50
"""Tasks of Tidemill's own that run at once, such as deliveries to webhooks: they mostly wait."""


class Pools(NamedTuple):
    """Where tasks run: by the isolation of their type, or apart, each alone in a child process.

    Each batch task type has a pool of its own, by its name.
    """

    loop: LoopPool
    thread: ThreadPool
    process: ChildPool
    apart: ChildPool
    own: LoopPool
    batches: Mapping[str, BatchPool]

    def of(self, task_type: TaskType) -> Pool:
        """The pool of a task type."""
        if task_type.batch is not None:
            return self.batches[task_type.name]
        own: dict[Isolation, Pool] = {
            "loop": self.loop,
            "thread": self.thread,
            "process": self.process,
        }
        return own[task_type.isolation]

    @property
    def slots(self) -> Mapping[str, Slots]:
        """The slots of each, by the name that the worker's record has for it."""
        own: dict[str, Pool] = {
            "loop": self.loop,
            "thread": self.thread,
            "process": self.process,
            "apart": self.apart,
            **{f"batch:{name}": pool for name, pool in self.batches.items()},
        }
        return {name: pool.slots for name, pool in own.items()}

    def hurry(self) -> None:
        """Run what is collected now: nothing more will come."""
        for pool in self.batches.values():
            pool.hurry()

    async def close(self) -> None:
        """End what the pools hold."""
        pools: list[Pool] = [self.loop, self.thread, self.process, self.apart, self.own]
        for pool in (*pools, *self.batches.values()):
            await pool.close()


def open_pools(app: Tidemill, settings: WorkerSettings, shared: Shared) -> Pools:
    """The pools of one worker; nothing runs in them yet."""
    middleware = app.middleware
    slots, threads, most_threads = settings.concurrency, settings.threads, settings.threads
    if slots == AUTO:
        slots, threads, most_threads = START, min(START, threads), MOST["thread"]
    return Pools(
        loop=LoopPool(Slots(slots), shared, middleware),
        thread=ThreadPool(Slots(threads), shared, middleware, most=most_threads),
        process=ChildPool(
            Slots(settings.children),
            shared,
            app,
            settings,
            keep=settings.children,
        ),
        apart=ChildPool(Slots(SUSPECTS), shared, app, settings, keep=0),
        own=LoopPool(Slots(OWN), shared, ()),
        batches={
            task_type.name: BatchPool(task_type, task_type.batch, shared)
            for task_type in app.task_types.values()
            if task_type.batch is not None
        },
    )
