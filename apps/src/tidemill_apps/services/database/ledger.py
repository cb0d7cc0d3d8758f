"""Effects that happen once, however often their task runs."""

from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.services.database.instants import utc_now
from tidemill_apps.services.database.tables import effect_ledger


async def once(session: AsyncSession, task_type: str, key: str) -> bool:
    """Whether the effect of this key is still to be made: True for one transaction, for ever.

    Make the effect in the same transaction: both are there after it, or neither. A second
    transaction waits for the first one, and is told False if that one commits.

        async with database.writing() as session:
            if await once(session, "contact:update", email_id):
                contact.mails += 1
    """
    made = {"task_type": task_type, "key": key, "made_at": utc_now()}
    return await insert_if_absent(session, effect_ledger, made)


async def forget(session: AsyncSession, task_type: str, before: datetime) -> int:
    """Remove the effects of a type that were made before an instant; answers how many.

    Afterwards they would be made again: only for keys that no task has any more.
    """
    removed = await session.execute(
        delete(effect_ledger)
        .where(effect_ledger.c.task_type == task_type, effect_ledger.c.made_at < before)
        .returning(effect_ledger.c.key)
    )
    return len(removed.all())


async def insert_if_absent(session: AsyncSession, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless one with its primary or unique key is there; answers whether it did."""
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    key = table.primary_key.columns.values()[0]
    inserted = await session.execute(insert.values(row).on_conflict_do_nothing().returning(key))
    return inserted.first() is not None
