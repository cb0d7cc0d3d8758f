"""Engines whose queues give or take too much."""

from collections.abc import Sequence

import msgspec

from tests.engines.mutants.books import Keeping
from tidemill.engine import Enqueued, QueueDefinition
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.produce import enqueue
from tidemill.engines.memory.queues import Queue
from tidemill.engines.memory.record import Record
from tidemill.rates import EMPTY
from tidemill.task import NewTask, State


class _Queues(Books):
    kind: type[Queue] = Queue

    def queue(self, name: str) -> Queue:
        if name not in self.queues:
            self.queues[name] = type(self).kind(name)
        return self.queues[name]


class _Endless(Queue):
    def gives(self, running: int, of_worker: int, now: int) -> int:
        return super().gives(0, of_worker, now)


class _EndlessQueues(_Queues):
    kind = _Endless


class ConcurrencyIgnored(Keeping):
    """Gives tasks whatever runs."""

    books = _EndlessQueues


class _EachWorkerAlone(Queue):
    def gives(self, running: int, of_worker: int, now: int) -> int:
        return super().gives(running, 0, now)


class _QueuesForEachWorker(_Queues):
    kind = _EachWorkerAlone


class WorkerConcurrencyIgnored(Keeping):
    """Gives tasks whatever the worker runs."""

    books = _QueuesForEachWorker


class _Unspent(Queue):
    def started(self, count: int, now: int) -> None:
        return


class _UnspentQueues(_Queues):
    kind = _Unspent


class RateNotSpent(Keeping):
    """Forgets what it started."""

    books = _UnspentQueues


class _AlwaysAnew(Queue):
    def define(self, definition: QueueDefinition) -> None:
        super().define(definition)
        self._bucket = EMPTY


class _QueuesAlwaysAnew(_Queues):
    kind = _AlwaysAnew


class EveryDefinitionBeginsTheRateAnew(Keeping):
    """A worker that starts and defines its queues gives them another burst."""

    books = _QueuesAlwaysAnew


class CapacityIgnored(MemoryEngine):
    """Accepts whatever comes."""

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        now = self._books.now()
        return [enqueue(self._books, task, now) for task in tasks]


class CapacityCountsCalls(MemoryEngine):
    """Asks for each task of a batch alone, so that part of a refused batch stays."""

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        answers = []
        for task in tasks:
            answers += await super().enqueue([task])
        return answers


class WithinIgnored(MemoryEngine):
    """Lets a task be put off for ever."""

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        replace = msgspec.structs.replace
        return await super().enqueue(
            [
                replace(task, unique=task.unique and replace(task.unique, within=None))
                for task in tasks
            ]
        )


class _Uncached(Books):
    def _keep_key(self, record: Record, state: State, now: int) -> None:
        self.free_key(record, "start", "end")


class CachedKeyFreed(Keeping):
    """A completed task gives its key away at once."""

    books = _Uncached


class _AllCached(Books):
    def _keep_key(self, record: Record, state: State, now: int) -> None:
        super()._keep_key(record, State.COMPLETED, now)


class FailureCached(Keeping):
    """A failed task keeps its key as a completed one does."""

    books = _AllCached


class _DueAsEver(Books):
    def enter(self, record: Record, state: State, cause: str, now: int) -> None:
        if cause == "admitted":
            record.due = record.enqueued
        super().enter(record, state, cause, now)


class AdmittedKeepsItsDue(Keeping):
    """Lets a key with a long line go before all others."""

    books = _DueAsEver
