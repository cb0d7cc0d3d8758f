"""Sessions of a business database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tidemill_apps.services.database.opening import open_database
from tidemill_apps.services.database.place import database_url


class Database:
    """The database of one application, for one event loop; close it when done.

    `url` and `engine_url` as `database_url` takes them. Tables are made by `migrate`.
    """

    def __init__(self, url: str, *, engine_url: str, journal: str | None = None) -> None:
        self.url = database_url(url, engine_url=engine_url)
        self._writer = open_database(self.url, journal=journal)
        self._reader = open_database(self.url, journal=journal, reading=True)
        self._writing = async_sessionmaker(self._writer, expire_on_commit=False)
        self._reading = async_sessionmaker(self._reader, expire_on_commit=False)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Commit everything inside the block at once, or nothing when it raises.

        On SQLite one block at a time, over all processes; others wait for up to 30 s, then raise.
        Keep it short: no request to another service inside, and no second block inside the first.
        """
        async with self._writing() as session, session.begin():
            yield session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Read one state of the database; a write raises. Objects stay readable afterwards.

        Leave it before you write: with a rollback journal a commit waits for readers.
        """
        async with self._reading() as session:
            try:
                yield session
            finally:
                session.expunge_all()
                await session.rollback()

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.dispose()
        await self._reader.dispose()
