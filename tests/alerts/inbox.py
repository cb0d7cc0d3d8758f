"""A real SMTP server on the loopback that keeps what it is sent."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.servers.ports import Port


class Inbox:
    """Takes mail by SMTP, after refusing as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.mails: list[EmailMessage] = []
        self.arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        if self.refusals:
            self.refusals -= 1
            return "451 try again later"
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        self._loop.call_soon_threadsafe(self.arrived.set)
        return "250 taken"


@contextmanager
def receiving(inbox: Inbox) -> Iterator[int]:
    """Serve it on a free port, which is given, until the end of the block."""
    port = Port.free()
    controller = Controller(inbox, hostname="127.0.0.1", port=port.number)
    controller.start()
    try:
        yield port.number
    finally:
        controller.stop()
        port.close()
