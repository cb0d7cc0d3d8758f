"""Answers that last: they end soon after their caller may read no more."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

PROOF_LASTS: Final = 5.0
"""Seconds for which a live stream goes on without asking again."""

_MEDIA_TYPE: Final = b"text/event-stream"
_END: Final = {"type": "http.response.body", "body": b"", "more_body": False}

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Withdrawn(OSError):
    """The caller may read no more: as if it had hung up, for whoever writes to it."""


def while_good(
    send: Send, good: Callable[[], Awaitable[bool]], now: Callable[[], float] = time.monotonic
) -> Send:
    """Write to a live stream for as long as `good` says yes, which is asked before a frame.

    Afterwards the stream is ended, and whoever writes gets `Withdrawn`. Comments come at least
    every 15 s, so that a quiet stream ends too. Other answers are short and pass unasked.
    """
    proved: float | None = None

    async def write(message: Message) -> None:
        nonlocal proved
        if message["type"] == "http.response.start":
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            proved = now() if kind.startswith(_MEDIA_TYPE) else None
        elif proved is not None and message.get("more_body") and now() - proved >= PROOF_LASTS:
            if not await good():
                await send(dict(_END))
                raise Withdrawn
            proved = now()
        await send(message)

    return write
