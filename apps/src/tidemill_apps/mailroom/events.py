"""What happened to mail: values that listeners get in the transaction in which it happened."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill_apps.services.database import Outbox


class MailsStored(msgspec.Struct, frozen=True):
    """Mails that a user did not have before; at most one batch of them."""

    user_id: str
    mail_ids: tuple[str, ...]


Listener: TypeAlias = Callable[[AsyncSession, Outbox, MailsStored], Awaitable[None]]
"""Acts on an event inside the transaction that it happened in: both are there, or neither."""
