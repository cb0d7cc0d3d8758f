"""The memory engine: the reference for every rule, and what users' tests run on.

Nothing survives the process. One lock makes each verb a step; sessions share the books.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Literal, TypeVar

from tidemill.clock import Clock, SystemClock
from tidemill.engine import (
    ClaimRequest,
    Document,
    Engine,
    EngineInfo,
    Enqueued,
    Extension,
    FeedPage,
    Fired,
    Firing,
    HistoryQuery,
    Hold,
    Mark,
    Marks,
    Promoted,
    Put,
    QueueDefinition,
    Reclaimed,
    Retrial,
    Stats,
    Tally,
    TaskPage,
    TaskQuery,
    Transaction,
)
from tidemill.engines.memory import consume, documents, produce, read, repair
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.restore import restore
from tidemill.errors import EngineRefused
from tidemill.outcome import Settlement
from tidemill.task import Claim, NewTask, State, Task

T = TypeVar("T")


class MemoryEngine:
    """An engine in the memory of one process, exact and simple rather than fast.

    `ordered="lane"` orders claims like an engine that keeps tasks in lanes, to be its reference.
    """

    def __init__(
        self, *, clock: Clock | None = None, ordered: Literal["task", "lane"] = "task"
    ) -> None:
        self._books = Books(clock or SystemClock(), ordered)
        self._lock = threading.RLock()
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="memory",
            location="this process",
            durability="fast",
            ordered=self._books.ordered,
        )

    def session(self) -> Engine:
        return self

    async def close(self) -> None:
        return

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        raise EngineRefused(_NO_SQL)

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        _refuse(tx)
        return self._step(lambda books: produce.enqueue_all(books, tasks))

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        return self._step(lambda books: consume.claim(books, request))

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return self._step(lambda books: consume.extend(books, extensions, lease))

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        _refuse(tx)
        return self._step(lambda books: consume.settle(books, settlements))

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        within = self._soonest(queues, timeout)
        await self._change(within, seen=lambda: self._claimable(queues))

    async def migrate(self) -> None:
        return

    async def promote(self, limit: int) -> Promoted:
        return self._step(lambda books: repair.promote(books, limit))

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        return self._step(lambda books: repair.reclaim(books, limit))

    async def prune(self, limit: int) -> int:
        return self._step(lambda books: repair.prune(books, limit))

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return self._step(lambda books: repair.cancel(books, ids, reason))

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return self._step(lambda books: repair.retry(books, ids))

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return self._step(lambda books: repair.remove(books, ids))

    async def pause(self, queue: str, *, paused: bool) -> None:
        self._step(lambda books: documents.pause(books, queue, paused=paused))

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        self._step(lambda books: documents.configure(books, queues))

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return self._step(lambda books: produce.fire(books, firings))

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        return self._step(lambda books: restore(books, tasks, marks, tallies))

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return self._step(lambda books: [books.documents.get((kind, key)) for key in keys])

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        return self._step(lambda books: [documents.put(books, change) for change in puts])

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return self._step(lambda books: documents.listed(books, kind, prefix))

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        return self._step(lambda books: read.marks(books, schedules, fires))

    async def history(self, query: HistoryQuery) -> list[Tally]:
        return self._step(lambda books: books.history.read(query))

    async def find(self, query: TaskQuery) -> TaskPage:
        return self._step(lambda books: read.find(books, query))

    async def stats(self) -> Stats:
        return self._step(read.stats)

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        page = self._step(lambda books: read.feed(books, after, limit))
        if page.entries or wait <= timedelta(0):
            return page
        await self._change(wait, seen=lambda: str(self._books.fed) != page.cursor)
        return self._step(lambda books: read.feed(books, page.cursor, limit))

    # one step, and who waits for it

    def _step(self, verb: Callable[[Books], T]) -> T:
        with self._lock:
            told = self._books.fed
            answer = verb(self._books)
            if self._books.fed != told:
                self._wake()
            return answer

    def _claimable(self, queues: tuple[str, ...] | None) -> bool:
        return any(gives for gives, _ in self._waiting_queues(queues))

    def _waiting_queues(self, queues: tuple[str, ...] | None) -> list[tuple[int, int]]:
        """Of each queue with pending tasks how many it gives, and when its rate lets one start."""
        books = self._books
        now = books.now()
        running = Counter(each.new.queue for each in books.by_state[State.RUNNING].values())
        names = {each.new.queue for each in books.by_state[State.PENDING].values()}
        asked = names if queues is None else names & set(queues)
        return [
            (books.queue(name).gives(running[name], 0, now), books.queue(name).next_in(now))
            for name in asked
        ]

    def _soonest(self, queues: tuple[str, ...] | None, timeout: timedelta) -> timedelta:
        with self._lock:
            ahead = [wait for _, wait in self._waiting_queues(queues) if wait]
        return min(timeout, timedelta(microseconds=min(ahead))) if ahead else timeout

    def _wake(self) -> None:
        for loop, event in self._waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def _change(self, timeout: timedelta, seen: Callable[[], bool]) -> None:
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if seen():
                return
            self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await waiter[1].wait()
        except TimeoutError:
            return
        finally:
            with self._lock:
                self._waiters.discard(waiter)


_NO_SQL = "the memory engine has no transactions; use sqlite:// or postgresql://"


def _refuse(tx: object | None) -> None:
    if tx is not None:
        raise EngineRefused(_NO_SQL)
