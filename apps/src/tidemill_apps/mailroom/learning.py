"""How a table that the spam filter has learnt is put into use."""

import uuid
from typing import Final

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.spam.bayes import Table
from tidemill_apps.mailroom.spam.training import Figures
from tidemill_apps.services.database import utc_now

KEPT: Final = 3
"""Tables of a user that are kept: the one in use, and two to compare with."""


async def publish(
    session: AsyncSession, user_id: str | None, table: Table, figures: Figures
) -> None:
    """Put a table of a user, or of all users, into use; the oldest beyond `KEPT` are removed."""
    rows = tables.spam_tables.c
    row = {
        "id": str(uuid.uuid4()),
        "user_id": user_id,
        "counts": msgspec.json.encode(table).decode(),
        "figures": msgspec.structs.asdict(figures),
        "trained_at": utc_now(),
    }
    await session.execute(insert(tables.spam_tables).values(row))
    theirs = select(rows.id).where(rows.user_id.is_not_distinct_from(user_id))
    newest = theirs.order_by(rows.trained_at.desc()).limit(KEPT)
    kept = list((await session.execute(newest)).scalars())
    same = rows.user_id.is_not_distinct_from(user_id) & rows.id.not_in(kept)
    await session.execute(delete(tables.spam_tables).where(same))
