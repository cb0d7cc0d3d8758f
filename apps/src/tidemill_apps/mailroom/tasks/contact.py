"""`contact:update` lets mails count for whoever sent them."""

from typing import Annotated, Final

import msgspec

from tidemill import Context
from tidemill_apps.mailroom.analyses import done_after_all
from tidemill_apps.mailroom.app import ANALYZE, app, mailroom
from tidemill_apps.mailroom.contacts import MOST, Counted, count_mails
from tidemill_apps.mailroom.retrying import ANALYSING

TIMEOUT: Final = 60


@app.task(name="contact:update", queue=ANALYZE, priority=3, timeout=TIMEOUT, retry=ANALYSING)
async def contact_update(
    ctx: Context,
    user_id: str,
    email_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST)],
) -> Counted:
    """Count mails for their contacts, in one transaction; each counts once, however often."""
    room = ctx.use(mailroom)
    async with room.database.writing() as session:
        counted = await count_mails(session, user_id, email_ids)
        await done_after_all(session, email_ids, "contact")
    return counted
