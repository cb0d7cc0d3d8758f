"""Connections to a business database."""

import sqlite3
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tidemill import ConfigError
from tidemill_apps.services.sqlite_file import BUSY_TIMEOUT_SECONDS, journal_mode, keep_journal


def open_database(
    url: URL, *, reading: bool = False, journal: str | None = None, foreign_keys: bool = True
) -> AsyncEngine:
    """A pool of connections for the running event loop; none is made before the first use.

    `reading` connections refuse to write. `journal` is that of a SQLite file; else the one that is
    safe with this SQLite (`journal_mode`).
    """
    try:
        if url.drivername.startswith("sqlite"):
            return _sqlite(url, reading=reading, journal=journal, foreign_keys=foreign_keys)
        opened = create_async_engine(url, pool_pre_ping=True)
    except ImportError as error:
        distribution = "tidemill-apps[services]" if "sqlite" in url.drivername else "asyncpg"
        raise ConfigError(
            f"the business database needs a package that is not installed ({error}): "
            f"pip install '{distribution}'"
        ) from error
    return opened.execution_options(postgresql_readonly=True) if reading else opened


def _sqlite(url: URL, *, reading: bool, journal: str | None, foreign_keys: bool) -> AsyncEngine:
    # Writers of one process stand in line for one connection. With one each they would find the
    # file locked and sleep: 200 transactions at once took 0.41 s instead of 0.28 s (WAL, 2 cores).
    pool = {} if reading else {"pool_size": 1, "max_overflow": 0}
    opened = create_async_engine(
        url,
        # Python's module would begin transactions by itself, and not before DDL or a SELECT
        connect_args={"isolation_level": None, "timeout": BUSY_TIMEOUT_SECONDS},
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        **pool,
    )
    kept = {
        "synchronous": "NORMAL",
        "foreign_keys": "ON" if foreign_keys else "OFF",
        "query_only": "ON" if reading else "OFF",
    }

    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        keep_journal(cursor.execute, journal or journal_mode(sqlite3.sqlite_version_info))
        for name, value in kept.items():
            cursor.execute(f"PRAGMA {name} = {value}")
        cursor.close()

    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails when another one wrote in between:
        # one that may write waits for the others at its start.
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    event.listen(opened.sync_engine, "connect", prepare)
    event.listen(opened.sync_engine, "begin", begin)
    return opened
