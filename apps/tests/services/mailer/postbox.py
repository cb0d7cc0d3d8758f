"""A real SMTP server on the loopback that keeps what it is sent, and refuses what it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.servers.ports import Port


class Postbox:
    """Answers a recipient as `recipients` says, a sender as `senders` says, else takes the mail.

    `cut` names recipients at whose message the connection breaks, before or (`kept`) after the
    server has it.
    """

    def __init__(self) -> None:
        self.recipients: dict[str, str] = {}
        self.senders: dict[str, str] = {}
        self.cut: set[str] = set()
        self.kept: set[str] = set()
        self.content = ""
        self.mails: list[EmailMessage] = []
        self.asked: list[str] = []
        self.port = 0

    @property
    def got(self) -> list[str]:
        """The recipients of what was taken, in order."""
        return [str(mail["To"]) for mail in self.mails]

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.senders:
            return self.senders[address]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.append(address)
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope
    ) -> str:
        (recipient,) = envelope.rcpt_tos
        if self.content:
            return self.content
        if recipient not in self.cut:
            content = envelope.content
            assert isinstance(content, bytes)
            self.mails.append(message_from_bytes(content, policy=policy.default))
        if recipient in self.cut | self.kept:
            server.transport.abort()
        return "250 taken"


@contextmanager
def serving(postbox: Postbox) -> Iterator[Postbox]:
    """Serve it on a free port until the end of the block."""
    port = Port.free()
    controller = Controller(postbox, hostname="127.0.0.1", port=port.number, enable_SMTPUTF8=True)
    controller.start()
    postbox.port = port.number
    try:
        yield postbox
    finally:
        controller.stop()
        port.close()
