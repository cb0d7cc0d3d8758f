"""`email:repair` has mail analysed again that was analysed while the AI provider was down."""

from typing import Final

from tidemill import Context
from tidemill_apps.mailroom.analyses import degraded_mails
from tidemill_apps.mailroom.app import MAINTENANCE, app, mailroom
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.retrying import ANALYSING
from tidemill_apps.mailroom.tasks.analyze import analysis_of
from tidemill_apps.services.text.routing import OUTAGES

MOST: Final = 200
"""Mails of one run, so that new mail does not wait long behind old one."""

_PROBE: Final = "The mill is open again. The wheel turns, and the gates are in order."


@app.task(name="email:repair", queue=MAINTENANCE, timeout=120, retry=ANALYSING, unique="all")
async def email_repair(ctx: Context) -> int:
    """Have the oldest degraded analyses made again if the provider answers; answers how many.

    While it is down this is 0. A provider that refuses for good, such as for a wrong key, fails.
    """
    room = ctx.use(mailroom)
    async with room.database.reading() as session:
        found = await degraded_mails(session, MOST)
    if not found or not await _answers(room):
        return 0
    for user_id, mail_id in found:
        ctx.enqueue(analysis_of(user_id, mail_id, force=True))
    return len(found)


app.schedule("email:repair", email_repair, cron="*/10 * * * *")


async def _answers(room: Mailroom) -> bool:
    try:
        await room.text.for_attempt(1).summarize(_PROBE, 1)
    except OUTAGES:
        return False
    return True
