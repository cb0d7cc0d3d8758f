"""Who changed what."""

from datetime import datetime
from typing import Any

import msgspec


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or one that was refused for want of a scope.

    `action` is the name of the operation, or of the command; `subject` names what it was about.
    `status` is that of the answer, or the exit code of a command. `before` and `after` are the
    fields that differ, where they are known.
    """

    at: datetime
    who: str
    action: str
    status: int
    subject: dict[str, str]
    address: str | None
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditRecords(msgspec.Struct, frozen=True):
    """Changes, the newest first."""

    entries: tuple[AuditRecord, ...]
