"""The thread that reads: never behind the writer, and the writer never behind it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw

from tidemill.engines.sqlite.connection import LOCK_WAIT, Durability, connect
from tidemill.engines.sqlite.faults import faults
from tidemill.engines.sqlite.rows import error_contains

T = TypeVar("T")
_Look = tuple[Callable[[apsw.Connection], Any], "asyncio.Future[Any]"]


class Reader:
    """Owns a read connection of one process to one file. The file must exist by then."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._path = path
        self._durability = durability
        self._looks: SimpleQueue[_Look | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, name="tidemill-sqlite-reader", daemon=True
        )
        self._thread.start()

    async def read(self, look: Callable[[apsw.Connection], T]) -> T:
        """Run a function over the connection, in a snapshot of its own."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.put((look, future))
        return await future

    def put(self, look: _Look | None) -> None:
        """Queue work; None ends the thread behind all that is queued."""
        self._looks.put(look)

    def join(self) -> None:
        """Wait for the end of the thread, and of its connection."""
        self._thread.join()

    def _run(self) -> None:
        on: apsw.Connection | None = None
        while (asked := self._looks.get()) is not None:
            look, future = asked
            if future.cancelled():
                continue
            answer: Any = None
            error: Exception | None = None
            try:
                with faults(self._path, waited=LOCK_WAIT):
                    on = on or self._open()
                    answer = _in_snapshot(on, look)
            except Exception as raised:  # noqa: BLE001  # it belongs to the caller
                error = raised
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle_future, future, answer, error)
        if on is not None:
            with suppress(apsw.Error):
                on.close()

    def _open(self) -> apsw.Connection:
        on = connect(self._path, self._durability, write=False)
        on.create_scalar_function("tidemill_error_contains", _error_contains, 2, deterministic=True)
        return on


def _error_contains(*values: Any) -> bool:
    error, needle = values
    return error_contains(error, needle)


def _in_snapshot(on: apsw.Connection, look: Callable[[apsw.Connection], T]) -> T:
    on.execute("BEGIN")
    try:
        return look(on)
    finally:
        on.execute("ROLLBACK")


def _settle_future(future: "asyncio.Future[Any]", answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
