"""Has search find a mail, within a time, or forget it."""

import asyncio
from datetime import timedelta
from typing import Final

from tidemill_apps.mailroom.analyses import (
    StoredMail,
    done_after_all,
    forgotten_by_search,
    found_by_search,
)
from tidemill_apps.mailroom.opening import Mailroom

PATIENCE: Final = timedelta(seconds=45)
"""How long the embedding of one mail may take."""


async def index_mail(room: Mailroom, mail: StoredMail, *, warned: bool) -> int:
    """Let search find the mail, and keep that it does; answers by how many passages.

    `warned`: there may be a warning that it does not, which is taken back then. Raises what the
    embedder and the stores raise, and `TimeoutError` after `PATIENCE`.
    """
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            passages = await asyncio.to_thread(
                room.index.put, mail.user_id, mail.id, mail.subject, mail.text, mail.sent_at
            )
    except TimeoutError as error:
        raise TimeoutError(
            str(error) or f"the passages were not embedded within {PATIENCE.seconds} s"
        ) from error
    async with room.database.writing() as session:
        await found_by_search(session, mail.id, passages, room.embedder.model_id)
        if warned:
            await done_after_all(session, [mail.id], "index")
    return passages


async def forget_mail(room: Mailroom, mail: StoredMail) -> None:
    """Have search forget the mail, and keep that it does."""
    await asyncio.to_thread(room.index.remove, mail.id)
    async with room.database.writing() as session:
        await forgotten_by_search(session, mail.id)
