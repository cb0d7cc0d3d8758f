"""Brings the tables of a business database to the version of the code."""

import logging
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from tidemill import ConfigError
from tidemill_apps.services.database.opening import open_database
from tidemill_apps.services.database.place import database_url

SHARED: Final = "tidemill_apps.services.database"
LOCK: Final = 7_138_160_309_242_118
"""The PostgreSQL advisory lock of migrations: any number that no other program takes."""


async def migrate(url: str, package: str | None = None, *, engine_url: str) -> None:
    """Make the shared tables, then run the revisions in `PACKAGE/migrations`, up to the newest.

    `package` is a dotted name. Its revisions are modules as Alembic writes them; what was applied
    stands in the table `PACKAGE_revision`. All revisions of a package are one transaction: a crash
    leaves the old version. Of several processes that migrate at once one does it, and the others
    wait and find it done. `url` and `engine_url` as `database_url` takes them. Raises `ConfigError`
    when the database is newer than the code.
    """
    # Changing a table of SQLite may mean to copy it, which foreign keys would follow: they are
    # checked at the end instead.
    opened = open_database(database_url(url, engine_url=engine_url), foreign_keys=False)
    try:
        for each in (SHARED, package) if package else (SHARED,):
            async with opened.begin() as connection:
                await connection.run_sync(_upgrade, each)
    finally:
        await opened.dispose()


def _upgrade(connection: Connection, package: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # that nothing was to do is no news
    from alembic import command  # noqa: PLC0415  # 0.3 s that only a process that migrates needs
    from alembic.config import Config  # noqa: PLC0415  # the same
    from alembic.util import CommandError  # noqa: PLC0415  # the same

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    with as_file(files(SHARED) / "environment") as script, as_file(files(package)) as folder:
        config = Config()
        config.set_main_option("script_location", _escaped(script))
        config.set_main_option("version_locations", _escaped(folder / "migrations"))
        config.set_main_option("path_separator", "newline")
        config.attributes["version_table"] = f"{package.rpartition('.')[2]}_revision"
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ConfigError(
                f"the database cannot be migrated for {package}: {error}. If another revision is "
                "named, a newer version has migrated it: update this installation"
            ) from error
    if connection.dialect.name == "sqlite":
        _check_references(connection, package)


def _check_references(connection: Connection, package: str) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise ConfigError(
            f"the revisions of {package} leave row {broken[1]} of {broken[0]} without the row of "
            f"{broken[2]} that it refers to; nothing was changed: correct the revision"
        )


def _escaped(path: Path) -> str:
    """A path as a value of the configuration, in which % begins the name of another value."""
    return str(path).replace("%", "%%")
