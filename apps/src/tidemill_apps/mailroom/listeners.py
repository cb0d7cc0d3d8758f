"""What follows when mail is stored: it is analysed, and counts for whoever sent it."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.mailroom.contacts import MOST
from tidemill_apps.mailroom.events import Listener, MailsStored
from tidemill_apps.services.database import Outbox


async def request_analysis(session: AsyncSession, outbox: Outbox, event: MailsStored) -> None:
    """Have each mail analysed once it is stored for good."""
    from tidemill_apps.mailroom.tasks.analyze import (  # noqa: PLC0415  # tasks import listeners
        analysis_of,
    )

    for mail_id in event.mail_ids:
        await outbox.enqueue_after_commit(session, analysis_of(event.user_id, mail_id))


async def request_contacts(session: AsyncSession, outbox: Outbox, event: MailsStored) -> None:
    """Let the mails count for their contacts, in batches, before they are analysed."""
    from tidemill_apps.mailroom.tasks.contact import (  # noqa: PLC0415  # tasks import listeners
        contact_update,
    )

    for start in range(0, len(event.mail_ids), MOST):
        batch = list(event.mail_ids[start : start + MOST])
        call = contact_update.options(user_id=event.user_id).call(event.user_id, batch)
        await outbox.enqueue_after_commit(session, call)


LISTENERS: Final[tuple[Listener, ...]] = (request_analysis, request_contacts)
"""The listeners of every `MailStore` that stores new mail."""
