"""Transactions that callers hold: the writer's connection lent, or a connection of their own."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import apsw

from tidemill.clock import Clock
from tidemill.engines.sqlite.connection import LOCK_WAIT
from tidemill.engines.sqlite.faults import faults
from tidemill.engines.sqlite.ledger import Ledger
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.writer import Lend, Writer
from tidemill.errors import EngineError, EngineRefused, EngineUnavailable, QueueFull

T = TypeVar("T")

LONGEST_PAUSE: Final = 10.0
"""Seconds that a transaction may do nothing before it is rolled back: nobody else can write."""


class _End(Enum):
    COMMIT = "commit"
    ROLL_BACK = "roll back"


_Order = tuple[Callable[[Step], Any], "asyncio.Future[Any]"]


class SqliteTransaction:
    """A write transaction over the writer's connection, one statement after the other.

    It is given back when it was idle for `LONGEST_PAUSE`; what is asked of it then raises
    `EngineUnavailable`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._orders: SimpleQueue[_Order | _End] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._over = False
        self._fault: Exception = EngineRefused("the transaction is over: open another")
        self._broken = False

    async def execute(
        self, sql: str, params: Sequence[Any] | dict[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run one statement with bound parameters; answers all its rows."""
        return await self.run(lambda step: step.on.execute(sql, params).fetchall())

    async def run(self, work: Callable[[Step], T], *, verb: bool = False) -> T:
        """Run work in the transaction. A `verb` that fails ends it: it may have done half."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._orders.put((_whole(work) if verb else work, future))
        if self._over:
            self._refuse_rest()
        try:
            return await future
        except QueueFull:  # before anything was done
            raise
        except BaseException:
            self._broken = self._broken or verb
            raise

    async def begin(self, writer: Writer) -> None:
        """Wait for the writer, and open the transaction."""
        writer.put(Lend(self._serve))
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._orders.put(_End.ROLL_BACK)
            raise

    async def end(self, *, commit: bool) -> None:
        """Commit, or roll back."""
        self._orders.put(_End.COMMIT if commit and not self._broken else _End.ROLL_BACK)
        self._over = True
        try:
            await asyncio.shield(self._ended)
        except EngineError:
            if commit:
                raise
        if commit and self._broken:
            raise EngineRefused("the transaction was rolled back: one of its steps had failed")

    # in the writer's thread

    def _serve(self, writer: Writer) -> None:
        step: Step | None = None
        try:
            with faults(self._path, waited=LOCK_WAIT):
                step = writer.begin()
                self._tell(self._opened)
                self._follow(step)
                step.on.execute("COMMIT")
            writer.committed(step)
        except _RolledBack:
            writer.roll_back()
            self._tell(self._ended)
        except Exception as error:  # noqa: BLE001  # it belongs to the caller
            writer.roll_back()
            self._fault = error
            self._over = True
            self._refuse_rest()
            self._tell(self._opened if step is None else self._ended, error)
        else:
            self._tell(self._ended)

    def _follow(self, step: Step) -> None:
        while True:
            try:
                order = self._orders.get(timeout=LONGEST_PAUSE)
            except Empty:
                raise _given_back(self._path) from None
            if order is _End.COMMIT:
                return
            if order is _End.ROLL_BACK:
                raise _RolledBack
            work, future = order
            try:
                with faults(self._path, waited=LOCK_WAIT):
                    answer = work(step)
            except Exception as error:
                self._tell(future, error)
                if not step.on.in_transaction:  # SQLite itself has rolled back
                    raise
            else:
                self._tell(future, None, answer)
            if not step.on.in_transaction:
                raise EngineRefused(
                    "the transaction was ended by a statement of its own: leave COMMIT and "
                    "ROLLBACK to the block that opened it"
                )

    def _refuse_rest(self) -> None:
        with suppress(Empty):
            while True:
                order = self._orders.get_nowait()
                if not isinstance(order, _End):
                    self._tell(order[1], self._fault)

    def _tell(
        self, future: "asyncio.Future[Any]", error: Exception | None = None, answer: Any = None
    ) -> None:
        def settle() -> None:
            if future.done():
                return
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(settle)


class _RolledBack(Exception):
    """The block that opened the transaction raised."""


def _whole(work: Callable[[Step], T]) -> Callable[[Step], T]:
    def run(step: Step) -> T:
        answer = work(step)
        step.end()
        return answer

    return run


def _given_back(path: Path) -> EngineUnavailable:
    return EngineUnavailable(
        f"a transaction on {path} was rolled back because it did nothing for "
        f"{LONGEST_PAUSE:.0f} s: do slow work before it opens, not inside"
    )


def borrow(on: apsw.Connection, path: Path, clock: Clock, work: Callable[[Step], T]) -> T:
    """Run work in the transaction that a caller has open on a connection of their own."""
    if not on.in_transaction:
        raise EngineRefused(
            "the connection given as tx has no transaction open: BEGIN IMMEDIATE first, "
            "and COMMIT after the call"
        )
    if not on.filename or not Path(on.filename).samefile(path):
        raise EngineRefused(
            f"the connection given as tx is open on {on.filename or 'no file'}, "
            f"the tasks are in {path}: a transaction cannot span two files"
        )
    with faults(path, waited=LOCK_WAIT), on:
        ledger = Ledger()
        ledger.catch_up(on)
        step = Step(on, ledger, clock.now())
        answer = work(step)
        step.end()
    return answer
