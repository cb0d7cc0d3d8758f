"""Sessions that read and write, instants, and effects that happen once."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError, StatementError

from apps.tests.services.database.conftest import opened
from tidemill_apps.services.database import Database, forget, insert_if_absent, once, utc_now
from tidemill_apps.services.database.tables import effect_ledger

JOURNALS = pytest.mark.parametrize("journal", ["WAL", "TRUNCATE"])


async def effects(database: Database) -> int:
    async with database.reading() as session:
        return int(
            (await session.execute(select(func.count()).select_from(effect_ledger))).scalar_one()
        )


async def test_a_block_that_raises_leaves_nothing(folder: Path) -> None:
    async with opened(folder) as database:

        async def fail() -> None:
            async with database.writing() as session:
                assert await once(session, "contact:update", "mail 1")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            await fail()
        assert await effects(database) == 0


async def test_a_reading_session_cannot_write(folder: Path) -> None:
    async with opened(folder) as database:
        with pytest.raises(OperationalError, match="readonly"):
            async with database.reading() as session:
                await once(session, "contact:update", "mail 1")
        async with database.writing() as session:
            assert await once(session, "contact:update", "mail 1")


@JOURNALS
async def test_the_file_has_the_journal_and_the_foreign_keys(folder: Path, journal: str) -> None:
    async with opened(folder, journal) as database, database.writing() as session:
        assert (await session.execute(text("PRAGMA journal_mode"))).scalar() == journal.lower()
        assert (await session.execute(text("PRAGMA foreign_keys"))).scalar() == 1


@JOURNALS
async def test_readers_and_writers_of_two_pools_wait_for_each_other_instead_of_failing(
    folder: Path, journal: str
) -> None:
    async def add(database: Database, key: str) -> None:
        async with database.writing() as session:
            found = await session.execute(select(func.count()).select_from(effect_ledger))
            assert found.scalar_one() >= 0  # read first, then write: one transaction sees one state
            assert await once(session, "add", key)
        assert await effects(database) > 0

    async with opened(folder, journal) as one, opened(folder, journal) as other:
        await asyncio.gather(
            *(
                add(each, f"{name} {n}")
                for name, each in (("a", one), ("b", other))
                for n in range(20)
            )
        )
        assert await effects(one) == 40


async def test_an_effect_is_made_by_one_of_many_transactions(folder: Path) -> None:
    async def attempt(database: Database) -> bool:
        async with database.writing() as session:
            return await once(session, "contact:update", "mail 1")

    async with opened(folder) as one, opened(folder) as other:
        made = await asyncio.gather(*(attempt(each) for each in [one, other] * 10))
        assert sorted(made) == [False] * 19 + [True]
        async with one.writing() as session:
            assert await once(session, "contact:update", "mail 2")
            assert await once(session, "email:embed", "mail 1")
            assert not await once(session, "email:embed", "mail 1")


async def test_effects_that_are_forgotten_are_made_again(folder: Path) -> None:
    async with opened(folder) as database:
        async with database.writing() as session:
            await once(session, "old", "1")
            await once(session, "other", "1")
            assert await forget(session, "old", utc_now() - timedelta(hours=1)) == 0
            assert await forget(session, "old", utc_now() + timedelta(hours=1)) == 1
        async with database.writing() as session:
            assert await once(session, "old", "1")
            assert not await once(session, "other", "1")


async def test_instants_come_back_aware_in_utc_and_sort_by_time(folder: Path) -> None:
    east = timezone(timedelta(hours=8))
    nine = datetime(2026, 1, 1, 9, 0, tzinfo=east)
    async with opened(folder) as database:
        async with database.writing() as session:
            for key, instant in (("a", nine), ("b", datetime(2026, 1, 1, 2, 0, 0, 5, tzinfo=UTC))):
                row = {"task_type": "t", "key": key, "made_at": instant}
                await insert_if_absent(session, effect_ledger, row)
        async with database.reading() as session:
            made_at = effect_ledger.c.made_at
            rows = (await session.execute(select(made_at).order_by(made_at.desc()))).scalars().all()
            later = await session.execute(select(effect_ledger.c.key).where(made_at > nine))
            assert later.scalars().all() == ["b"]
    assert rows == [datetime(2026, 1, 1, 2, 0, 0, 5, tzinfo=UTC), nine]
    assert {each.tzinfo for each in rows} == {UTC}


async def test_a_naive_instant_is_refused(folder: Path) -> None:
    async with opened(folder) as database:
        naive = datetime(2026, 1, 1)  # noqa: DTZ001  # that is what is refused
        row = {"task_type": "t", "key": "k", "made_at": naive}
        async with database.writing() as session:
            with pytest.raises(StatementError, match="no time zone"):
                await insert_if_absent(session, effect_ledger, row)


async def test_the_tables_in_the_code_are_those_of_the_revisions(folder: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection

    from tidemill_apps.services.database.tables import metadata

    def differences(connection: Connection) -> list[object]:
        options = {"version_table": "database_revision"}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async with opened(folder) as database, database.reading() as session:
        assert await (await session.connection()).run_sync(differences) == []
