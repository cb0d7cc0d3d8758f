"""What was sent to whom under which key."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from sqlalchemy import select, update

from tidemill_apps.services.database import Database, insert_if_absent, utc_now
from tidemill_apps.services.database.tables import mail_ledger


class MailState(StrEnum):
    """How far a mail to one recipient is; `SENDING` may mean that a crash hid its end."""

    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"


class Entry(msgspec.Struct, frozen=True):
    """The row of one recipient; `answer` is what the server said last."""

    state: MailState
    answer: str | None


async def begin(
    database: Database, key: str, recipients: Sequence[str], message_id: str
) -> dict[str, Entry]:
    """Write of each recipient that a mail is being sent, unless a row is there; answers the rows.

    They are committed before the server hears of any of them.
    """
    ledger = mail_ledger.c
    async with database.writing() as session:
        for each in recipients:
            row = {
                "key": key,
                "recipient": each,
                "state": MailState.SENDING,
                "message_id": message_id,
                "changed_at": utc_now(),
            }
            await insert_if_absent(session, mail_ledger, row)
        rows = await session.execute(
            select(ledger.recipient, ledger.state, ledger.answer).where(
                ledger.key == key, ledger.recipient.in_(recipients)
            )
        )
        found = {row.recipient: Entry(MailState(row.state), row.answer) for row in rows}
    return {each: found[each] for each in recipients}


async def end(database: Database, key: str, recipient: str, entry: Entry) -> None:
    """Write how it ended, or what the server said to an attempt that is to be repeated."""
    async with database.writing() as session:
        await session.execute(
            update(mail_ledger)
            .where(mail_ledger.c.key == key, mail_ledger.c.recipient == recipient)
            .values(state=entry.state, answer=entry.answer, changed_at=utc_now())
        )
