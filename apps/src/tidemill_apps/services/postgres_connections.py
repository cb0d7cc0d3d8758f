"""PostgreSQL connections that threads and forked processes may share."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg.rows import TupleRow

from tidemill import Permanent
from tidemill_apps.services.errors import unreachable

Connection = psycopg.Connection[TupleRow]

_MOST_IDLE: Final = 8


class PostgresConnections:
    """As many connections as threads use at once; up to `_MOST_IDLE` stay open between uses."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._changing = threading.Lock()
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit everything inside the block at once, or nothing when it raises.

        Raises `Unavailable` when the server cannot be reached or breaks off, and `Permanent` when
        the user may not do it.
        """
        try:
            connection = self._take()
            try:
                with connection.transaction():
                    yield connection
            finally:
                self._put(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()  # a server that went away took the other connections with it
            raise unreachable("PostgreSQL", error) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise Permanent(f"PostgreSQL answered: {error}", code="forbidden") from error

    def close(self) -> None:
        """Close the connections that nobody uses; a later use opens new ones."""
        for connection in self._taken_away():
            with suppress(psycopg.Error):
                connection.close()

    def _take(self) -> Connection:
        if self._pid != os.getpid():
            self._taken_away()  # a fork has them too, and they are its parent's
            self._pid = os.getpid()
        with self._changing:
            if self._idle:
                return self._idle.pop()
        options: dict[str, Any] = {"autocommit": True, "prepare_threshold": None}
        return psycopg.connect(self._url, **options)  # nothing prepared: poolers mix sessions

    def _put(self, connection: Connection) -> None:
        with self._changing:
            if not connection.broken and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _taken_away(self) -> list[Connection]:
        with self._changing:
            taken, self._idle = self._idle, []
        return taken
