"""The SQLite engine: the verbs of the seam over a writer, a reader and a bell."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from tidemill.clock import Clock, SystemClock
from tidemill.engine import (
    ClaimRequest,
    Document,
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
from tidemill.engines.sqlite import claim, documents, operate, repair
from tidemill.engines.sqlite.connection import Durability, version_warnings
from tidemill.engines.sqlite.desk import Desk, Share
from tidemill.engines.sqlite.enqueue import enqueue_within_capacity
from tidemill.engines.sqlite.feed import feed
from tidemill.engines.sqlite.fire import fire
from tidemill.engines.sqlite.history import history
from tidemill.engines.sqlite.marks import marks
from tidemill.engines.sqlite.observe import Outlook, find, outlook, stats, told
from tidemill.engines.sqlite.restore import restore
from tidemill.engines.sqlite.settle import settle
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.transaction import SqliteTransaction, borrow
from tidemill.engines.sqlite.wake import Ear, Letterbox
from tidemill.engines.sqlite.writer import Call
from tidemill.errors import EngineRefused
from tidemill.outcome import Settlement
from tidemill.task import Claim, NewTask, State, Task

T = TypeVar("T")
ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")

_LOOK_EVERY: Final = 0.25


class SqliteEngine:
    """Tasks in one SQLite file, shared by any number of processes of one machine.

    `durability` says what an accepted task survives: `strict` the loss of power (every commit is
    synced), `standard` and `fast` the end of any process; after a loss of power the last commits
    before it may be missing, the file stays sound. The file and its schema are made at the first
    verb. Only `apsw` may open the file in a process that uses this engine. `share` is what the
    sessions of one engine have in common.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        durability: Durability = "standard",
        clock: Clock | None = None,
        share: Share | None = None,
    ) -> None:
        self._share = share or Share(Path(path).absolute(), durability, clock or SystemClock())
        self._letterbox: tuple[Desk, Letterbox] | None = None
        self._task_types: frozenset[str] | None = None
        self._worker = ""
        self._share.join()
        self._open_until = weakref.finalize(self, _abandon, self._share)

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="sqlite",
            location=str(self._share.path),
            durability=self._share.durability,
            transactional=True,
            versions={"sqlite": apsw.sqlite_lib_version(), "apsw": apsw.apsw_version()},
            warnings=version_warnings(),
        )

    def session(self) -> "SqliteEngine":
        return SqliteEngine(self._share.path, share=self._share)

    async def close(self) -> None:
        if self._open_until.detach() is None:
            return
        if self._letterbox is not None:
            self._letterbox[1].close()
        desk = self._share.leave()
        if desk is not None:
            await asyncio.to_thread(desk.stop)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A write transaction of the engine's file, for the application's own SQL.

        Commits when the block ends, rolls back when it raises. Nobody else writes meanwhile, so
        keep it short; pass it as `tx` to `enqueue` and `settle`, and call no other verb inside.
        """
        transaction = SqliteTransaction(self._share.path)
        await transaction.begin(self._desk().writer)
        try:
            yield transaction
        except BaseException:
            await transaction.end(commit=False)
            raise
        await transaction.end(commit=True)

    # produce and consume

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        return await self._many(enqueue_within_capacity, tasks, tx)

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        self._task_types, self._worker = request.task_types, request.worker
        return await self._write(lambda step: claim.claim(step, request))

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        return await self._write(lambda step: claim.extend(step, extensions, lease))

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        return await self._many(settle, settlements, tx)

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        types, worker, clock = self._task_types, self._worker, self._share.clock
        ear = Ear("work", None if queues is None else frozenset(queues))
        await self._until(ear, timeout, lambda on: outlook(on, clock.now(), queues, types, worker))

    # repair and operate

    async def migrate(self) -> None:
        await self._write(lambda _: None)

    async def promote(self, limit: int) -> Promoted:
        return await self._write(lambda step: repair.promote(step, limit))

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        return await self._write(lambda step: repair.reclaim(step, limit))

    async def prune(self, limit: int) -> int:
        return await self._write(lambda step: repair.prune(step, limit))

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        return await self._write(lambda step: operate.cancel(step, ids, reason))

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        return await self._write(lambda step: operate.retry(step, ids))

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        return await self._write(lambda step: operate.remove(step, ids))

    async def pause(self, queue: str, *, paused: bool) -> None:
        await self._write(lambda step: operate.pause(step, queue, paused=paused))

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        await self._write(lambda step: operate.configure(step, queues))

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        return await self._write(lambda step: fire(step, firings))

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        return await self._write(lambda step: restore(step, tasks, marks, tallies))

    # documents and observe

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        return await self._read(lambda on: documents.get(on, kind, keys))

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        return await self._write(lambda step: documents.put(step, puts))

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        return await self._read(lambda on: documents.listed(on, kind, prefix))

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        clock = self._share.clock
        return await self._read(lambda on: marks(on, clock.now(), schedules, fires))

    async def history(self, query: HistoryQuery) -> list[Tally]:
        return await self._read(lambda on: history(on, query))

    async def find(self, query: TaskQuery) -> TaskPage:
        return await self._read(lambda on: find(on, query))

    async def stats(self) -> Stats:
        clock = self._share.clock
        return await self._read(lambda on: stats(on, clock.now()))

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        page = await self._read(lambda on: feed(on, after, limit))
        if page.entries or wait <= timedelta(0):
            return page
        end = page.cursor
        await self._until(
            Ear("feed", None), wait, lambda on: told(something=bool(feed(on, end, 1).entries))
        )
        return await self._read(lambda on: feed(on, end, limit))

    # how verbs run

    def _desk(self) -> Desk:
        if not self._open_until.alive:
            raise EngineRefused("this session of the engine is closed; open another")
        return self._share.desk()

    async def _write(self, work: Callable[[Step], T]) -> T:
        call = Call(work)
        self._desk().writer.put(call)
        answer: T = await call.future
        return answer

    async def _many(
        self,
        verb: Callable[[Step, Sequence[ItemT]], list[AnswerT]],
        items: Sequence[ItemT],
        tx: object | None,
    ) -> list[AnswerT]:
        if isinstance(tx, SqliteTransaction):
            return await tx.run(lambda step: verb(step, items), verb=True)
        if isinstance(tx, apsw.Connection):
            await self._open()
            share = self._share
            return borrow(tx, share.path, share.clock, lambda step: verb(step, items))
        if tx is not None:
            raise EngineRefused(
                f"tx is a {type(tx).__name__}: this engine takes what its transaction() gives, "
                "or an apsw.Connection to its own file with a transaction open"
            )
        call = Call(lambda step: verb(step, items), items=items, of_many=verb)
        self._desk().writer.put(call)
        answers: list[AnswerT] = await call.future
        return answers

    async def _open(self) -> Desk:
        desk = self._desk()
        if not desk.writer.opened.is_set():
            await self.migrate()
        return desk

    async def _read(self, look: Callable[[apsw.Connection], T]) -> T:
        desk = await self._open()
        return await desk.reader.read(look)

    async def _until(
        self, ear: Ear, timeout: timedelta, seen: Callable[[apsw.Connection], Outlook]
    ) -> None:
        """Return when what is `seen` says so, when the ear hears something, or in the end."""
        desk = await self._open()
        self._letters(desk).open(ear.kind)
        end = ear.loop.time() + timeout.total_seconds()
        version: Any = None
        limited, until = False, end

        def look(on: apsw.Connection) -> None:
            nonlocal version, limited, until
            found = on.pragma("data_version")
            if found != version:
                version, sight = found, seen(on)
                limited, until = sight.limited, min(end, ear.loop.time() + sight.within)

        with desk.bell.listening(ear):
            while True:
                await desk.reader.read(look)
                left = until - ear.loop.time()
                if left <= 0 or (await ear.heard(min(_LOOK_EVERY, left)) and not limited):
                    return

    def _letters(self, desk: Desk) -> Letterbox:
        if self._letterbox is None or self._letterbox[0] is not desk:
            self._letterbox = (desk, Letterbox(desk.bell))
        return self._letterbox[1]


def _abandon(share: Share) -> None:
    """Let go of what a session held that was dropped without being closed."""
    desk = share.leave()
    if desk is not None:
        desk.abandon()
