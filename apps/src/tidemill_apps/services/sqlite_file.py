"""One SQLite file of business data, shared by threads and processes."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BUSY_TIMEOUT_SECONDS: Final = 30.0
_BETWEEN_SECONDS: Final = 0.01
_SAFE_WAL: Final = (3, 51, 3)


def journal_mode(version: tuple[int, ...]) -> str:
    """Return how a SQLite of this version should keep its journal.

    `WAL` from 3.51.3 on. In 3.7.0 to 3.51.2 two connections that write and reset the log at the
    same moment can corrupt a file in WAL mode (the release notes of 3.51.3 tell); the rollback
    journal has no such race. It costs 1 ms more for each commit, 4 % of the time to index.
    """
    return "WAL" if version >= _SAFE_WAL else "TRUNCATE"


def keep_journal(execute: Callable[[str], object], journal: str) -> None:
    """Have a file keep its journal so, by a connection's `execute`.

    SQLite does not wait for others when it changes to WAL: of four connections that do so at once,
    one in fifty is told that the file is locked.
    """
    until = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            execute(f"PRAGMA journal_mode = {journal}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_BETWEEN_SECONDS)
        else:
            return


class SqliteFile:
    """Connections to one file: one per thread, opened on first use, again after a fork.

    Whoever finds the file locked waits up to `BUSY_TIMEOUT_SECONDS`: a writer for other writers
    and, where `journal_mode` answers `TRUNCATE`, for readers too, as they for it. All processes
    that share a file should have one version of SQLite. Never name a Tidemill engine's file here:
    a second SQLite library in the process that closes the same file drops the engine's file locks.
    """

    def __init__(self, path: Path, journal: str | None = None) -> None:
        self.path = path
        self.journal = journal or journal_mode(sqlite3.sqlite_version_info)
        self._thread = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._writer = (os.getpid(), threading.Lock())

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, in autocommit mode with rows readable by name.

        Raises `sqlite3.OperationalError` when the file cannot be opened or written.
        """
        if getattr(self._thread, "pid", None) != os.getpid():
            self._thread.connection = self._open()
            self._thread.pid = os.getpid()
        connection: sqlite3.Connection = self._thread.connection
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit everything inside the block at once, or nothing when it raises.

        A transaction inside another one of the same thread joins it.
        """
        connection = self.connection()
        if connection.in_transaction:
            yield connection
            return
        with self._turn():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let threads of one process write in turn: a busy SQLite sleeps and tries again."""
        if self._writer[0] != os.getpid():  # a fork may have copied a lock that somebody held
            self._writer = (os.getpid(), threading.Lock())
        lock = self._writer[1]
        if not lock.acquire(timeout=BUSY_TIMEOUT_SECONDS):
            raise sqlite3.OperationalError(f"{self.path} is locked by another thread")
        try:
            yield
        finally:
            lock.release()

    def run_script(self, script: str) -> None:
        """Execute the statements of `script` in one transaction; they must be safe to repeat."""
        with self.transaction() as connection:
            for statement in _statements(script):
                connection.execute(statement)

    def close(self) -> None:
        """Close the connections of every thread; a later use opens new ones."""
        self._thread = threading.local()
        while self._opened:
            self._opened.pop().close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # only so that close() may close it; a thread keeps to its own
        )
        connection.row_factory = sqlite3.Row
        keep_journal(connection.execute, self.journal)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        self._opened.append(connection)
        return connection


def _statements(script: str) -> Iterator[str]:
    """Cut a script at the semicolons that end a statement.

    `Connection.executescript` would commit the transaction that is open.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
