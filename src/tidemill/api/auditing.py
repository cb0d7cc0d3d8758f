"""What requests leave in the audit: an entry for each change, and now and then for refused ones."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Request

from tidemill.access import Access
from tidemill.app import Tidemill
from tidemill.errors import TidemillError

REFUSALS_EVERY: Final = 60.0
"""Seconds in which a caller's refusals of one operation are one entry."""

MOST_REFUSALS: Final = 10_000
"""Callers and operations whose last refusal is remembered."""

LONGEST: Final = 200
"""Characters that are kept of what a client calls itself or a thing."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a change did, besides what its request says: names, and the fields that differ."""

    subject: dict[str, str] = {}
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class Auditing:
    """Writes the entries of an application's requests."""

    def __init__(self, app: Tidemill, now: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._now = now
        self._refused: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def changed(
        self,
        request: Request[Any, Any, Any],
        access: Access,
        action: str,
        status: int,
        change: Change,
    ) -> None:
        """Note a change that was made.

        It was made, whatever becomes of the note: an engine that fails now is not the client's to
        repeat the request for. Then the entry stands in the log.
        """
        await self._note(request, access, action, status, change)

    async def refused(
        self, request: Request[Any, Any, Any], access: Access, action: str, status: int
    ) -> None:
        """Note that a caller may not do that, once a minute: nobody fills the audit by asking."""
        asked, now = (access.subject, action), self._now()
        last = self._refused.get(asked)
        if last is not None and now - last < REFUSALS_EVERY:
            return
        self._refused[asked] = now
        self._refused.move_to_end(asked)
        if len(self._refused) > MOST_REFUSALS:
            self._refused.popitem(last=False)
        await self._note(request, access, action, status, Change())

    async def _note(
        self,
        request: Request[Any, Any, Any],
        access: Access,
        action: str,
        status: int,
        change: Change,
    ) -> None:
        named = {name: str(value)[:LONGEST] for name, value in request.path_params.items()}
        subject = named | change.subject
        given = request.headers.get("x-request-id")
        try:
            await self._app.audit.record(
                access.who,
                action,
                status=status,
                subject=subject,
                address=request.client.host if request.client else None,
                request_id=given[:LONGEST] if given else None,
                before=change.before,
                after=change.after,
            )
        except TidemillError:
            _log.exception(
                "the audit lacks an entry: %s %s %s %d", access.who, action, subject, status
            )


_log = logging.getLogger("tidemill")
