"""`Prefer: wait=N` (RFC 7240): answer when the task is final, or after N seconds as it is then."""

import asyncio
import re
from contextlib import suppress
from typing import Final

from tidemill.app import Tidemill

LONGEST: Final = 60
"""Seconds that a request is held at most, whatever it prefers."""

_WAIT: Final = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)


def preferred(header: str | None) -> int | None:
    """The seconds that a request prefers to wait; None: none, or nothing that can be read.

    >>> preferred("respond-async, wait=10"), preferred("wait=1000"), preferred("wait=x")
    (10, 60, None)
    """
    found = _WAIT.search(header or "")
    return min(int(found[1]), LONGEST) if found else None


async def wait(app: Tidemill, task_id: str, seconds: int) -> None:
    """Return when the task is final, or after that long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in app.handle(task_id).events():
                pass
