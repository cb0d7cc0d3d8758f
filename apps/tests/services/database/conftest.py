"""A business database with the shared tables, beside the file of an engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tidemill_apps.services.database import Database, migrate


def urls(folder: Path) -> tuple[str, str]:
    """The business database and the engine."""
    return f"sqlite:///{folder}/business.db", f"sqlite:///{folder}/engine.db"


@asynccontextmanager
async def opened(folder: Path, journal: str | None = None) -> AsyncIterator[Database]:
    url, engine_url = urls(folder)
    database = Database(url, engine_url=engine_url, journal=journal)
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    url, engine_url = urls(tmp_path)
    asyncio.run(migrate(url, engine_url=engine_url))
    return tmp_path
