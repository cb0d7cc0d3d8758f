"""Engines with wrong books: each loses or doubles what hangs on a change of state."""

from collections.abc import Iterable, Sequence

import msgspec

from tidemill.clock import Clock
from tidemill.engine import Promoted, Reclaimed, StateCount, Stats
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.record import Record
from tidemill.outcome import Settlement
from tidemill.task import Progress, State


class Keeping(MemoryEngine):
    """Keeps its books another way."""

    books: type[Books] = Books

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._books = type(self).books(clock)


class _NoAdmission(Books):
    def admit_next(self, left: Record, now: int) -> None:
        return


class LimitSlotLeaked(Keeping):
    """A task that ends keeps its slot for ever."""

    books = _NoAdmission


class _KeysKept(Books):
    def free_key(self, record: Record, *at: str) -> None:
        return


class UniqueKeyLeaked(Keeping):
    """A task that ends keeps its key."""

    books = _KeysKept


class UniqueKeyLeakedByACrash(MemoryEngine):
    """A task that fails with its worker keeps its key."""

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        held = dict(self._books.keys)
        reclaimed = await super().reclaim(limit)
        self._books.keys |= held
        return reclaimed


class _PromotionsUntold(Books):
    def tell(self, record: Record, cause: str, now: int, progress: Progress | None = None) -> None:
        if cause != "promoted":
            super().tell(record, cause, now, progress)


class FeedDropsAnEntry(Keeping):
    """Forgets to tell of promotions."""

    books = _PromotionsUntold


class _RemovedCounted(Books):
    removed = 0

    def remove(self, records: Iterable[Record], now: int) -> None:
        gone = list(records)
        self.removed += len(gone)
        super().remove(gone, now)


class StatsDrift(Keeping):
    """Keeps its counts by hand, and forgets removals."""

    books = _RemovedCounted

    async def stats(self) -> Stats:
        told = await super().stats()
        books = self._books
        assert isinstance(books, _RemovedCounted)
        if not books.removed:
            return told
        ghosts = StateCount("default", "work", State.CANCELLED, books.removed)
        return msgspec.structs.replace(told, counts=(*told.counts, ghosts))


class PromotedTwice(MemoryEngine):
    """Moves a due task on again at the next promotion."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._moved: set[str] = set()

    async def promote(self, limit: int) -> Promoted:
        books = self._books
        again = {each for each in self._moved if each in books.by_state[State.RUNNING]}
        due = set(books.by_state[State.SCHEDULED])
        promoted = await super().promote(limit)
        self._moved = (self._moved - again) | (due & set(books.by_state[State.PENDING]))
        for task_id in again:
            books.enter(books.records[task_id], State.PENDING, "promoted", books.now())
        return msgspec.structs.replace(promoted, moved=promoted.moved + len(again))


class ReclaimIgnoresCrashes(MemoryEngine):
    """Forgets what a task has crashed before, and so runs poison for ever."""

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        for record in self._books.by_state[State.RUNNING].values():
            record.crashes = 0
        return await super().reclaim(limit)


class ReclaimPunishesNeighbours(MemoryEngine):
    """Counts a crash for every task that a dead worker held."""

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        beside = [each for each in self._books.by_state[State.RUNNING].values() if not each.alone]
        reclaimed = await super().reclaim(limit)
        for record in beside:
            record.crashes += record.state is not State.RUNNING
        return reclaimed


class ChildrenCountedBeforeEnqueue(MemoryEngine):
    """Looks for a parent's children before it has made them."""

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        bare = [msgspec.structs.replace(each, enqueue=()) for each in settlements]
        answers = await super().settle(bare, tx=tx)
        for each, answer in zip(settlements, answers, strict=True):
            if answer is not None:
                await self.enqueue(each.enqueue)
        return answers
