"""The connection to a mail server, and what its answers mean for a task."""

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import aiosmtplib
import msgspec

from tidemill import ConfigError, Permanent
from tidemill_apps.services.database import Database
from tidemill_apps.services.errors import Unavailable, smtp_error, unreachable
from tidemill_apps.services.mailer.ledger import Entry, MailState, begin, end
from tidemill_apps.services.mailer.message import (
    Language,
    Letter,
    Templates,
    addressed,
    message_id,
)

_LONGEST_ANSWER: Final = 500
_GOODBYE: Final = 5.0


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """The SMTP server that takes the mail, and the sender; `timeout` in seconds, for each step."""

    host: str
    sender: str
    port: int = 587
    username: str | None = None
    password: str | None = None
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    timeout: float = 30

    def __post_init__(self) -> None:
        """Refuse a password that would go over the wire readable, and a sender that is none."""
        if self.encryption not in {"starttls", "tls", "none"}:
            raise ConfigError(f"encryption {self.encryption!r} is none of starttls, tls, none")
        if self.username and self.encryption == "none":
            raise ConfigError(
                f"the password for {self.host} would be sent in the clear: use starttls or tls"
            )
        try:
            message_id("", self.sender)
        except Permanent as error:
            raise ConfigError(f"the sender of mail is wrong: {error}") from error

    def __repr__(self) -> str:
        """All but the password, which nobody is to find in a log."""
        return f"<mail server {self.host}:{self.port}, sender {self.sender}>"


class Refusal(msgspec.Struct, frozen=True):
    """A recipient for whom the server takes no mail, now or ever, and what it said."""

    recipient: str
    answer: str


class Sent(msgspec.Struct, frozen=True):
    """How the mails of a key ended: sent now, sent by an earlier attempt, refused for good."""

    message_id: str
    sent: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()


class Mailer:
    """Sends mails from templates, each recipient's own, and remembers in `database` which were.

    Each recipient of a key gets the mail once, however often `send` is repeated, with one
    exception: when the process dies, or the connection breaks, after the server has the whole
    message and before the ledger says so, the repetition sends it again. It has the same
    Message-ID, by which servers and readers may drop the second one. SMTP allows no better.
    """

    def __init__(
        self,
        server: MailServer,
        database: Database,
        templates: Templates | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._database = database
        self._templates = templates or Templates()
        self._tls = tls

    async def send(
        self,
        template: str,
        lang: Language,
        to: str | Sequence[str],
        context: Mapping[str, Any],
        key: str,
    ) -> Sent:
        """Send a mail to each recipient that has not had the one of this `key`, in one connection.

        Nobody sees the other recipients. A recipient refused for good (5yz) is never asked again
        under this key, and the others get theirs; when all are refused it raises `Permanent`, with
        the code of the first answer. When one could not be served now (4yz, no connection) it
        raises `Unavailable` after the others were: repeat it with the same key. A server that takes
        no mail from us at all (a wrong password, a sender that it refuses) raises `Permanent`, and
        no recipient is marked.
        """
        letter = self._templates.letter(template, lang, context)
        recipients = tuple(dict.fromkeys([to] if isinstance(to, str) else to))
        for each in recipients:
            addressed(letter, sender=self._server.sender, recipient=each, key=key)
        identity = message_id(key, self._server.sender)
        entries = await begin(self._database, key, recipients, identity)
        open_ = [each for each in recipients if entries[each].state is MailState.SENDING]
        problems: list[Permanent | Unavailable] = []
        if open_:
            ended, problems = await self._deliver(letter, open_, key)
            entries |= ended
        for problem in problems:
            if isinstance(problem, Unavailable):
                raise problem
        refused = _in(MailState.REFUSED, entries)
        if recipients and len(refused) == len(recipients):
            raise (
                problems[0]
                if problems
                else Permanent(
                    f"{recipients[0]} was refused before: {entries[recipients[0]].answer}",
                    code="refused",
                )
            )
        sent = _in(MailState.SENT, entries)
        return Sent(
            message_id=identity,
            sent=tuple(each for each in sent if each in open_),
            earlier=tuple(each for each in sent if each not in open_),
            refused=tuple(Refusal(each, entries[each].answer or "") for each in refused),
        )

    async def _deliver(
        self, letter: Letter, recipients: Sequence[str], key: str
    ) -> tuple[dict[str, Entry], list[Permanent | Unavailable]]:
        """Send to each in turn; answers how far each is, and what was said against some."""
        entries: dict[str, Entry] = {}
        problems: list[Permanent | Unavailable] = []
        connection = await self._connected()
        try:
            for each in recipients:
                problem = await self._transmit(connection, letter, each, key)
                entries[each] = _entry(problem)
                await end(self._database, key, each, entries[each])
                if problem is not None:
                    problems.append(problem)
            with suppress(aiosmtplib.SMTPException, OSError):
                await connection.quit(timeout=_GOODBYE)
        finally:
            connection.close()
        return entries, problems

    async def _connected(self) -> aiosmtplib.SMTP:
        server = self._server
        connection = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            start_tls=server.encryption == "starttls",
            use_tls=server.encryption == "tls",
            tls_context=self._tls,
            timeout=server.timeout,
        )
        try:
            await connection.connect()
        except aiosmtplib.SMTPResponseException as error:
            raise smtp_error(error.code, error.message) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise unreachable(self._name, error) from error
        return connection

    async def _transmit(
        self, connection: aiosmtplib.SMTP, letter: Letter, recipient: str, key: str
    ) -> Permanent | Unavailable | None:
        """Send one mail; answers what the server said against it, raises what it has against us."""
        message = addressed(letter, sender=self._server.sender, recipient=recipient, key=key)
        try:
            await connection.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            return smtp_error(refused.code, refused.message)
        except aiosmtplib.SMTPSenderRefused as error:
            raise smtp_error(error.code, error.message) from error
        except aiosmtplib.SMTPResponseException as error:
            return smtp_error(error.code, error.message)
        except aiosmtplib.SMTPNotSupported as error:
            return Permanent(f"{self._name} cannot take {recipient}: {error}", code="bad_address")
        except (aiosmtplib.SMTPException, OSError) as error:
            return unreachable(self._name, error)
        return None

    @property
    def _name(self) -> str:
        return f"the mail server {self._server.host}:{self._server.port}"


def _entry(problem: Permanent | Unavailable | None) -> Entry:
    if problem is None:
        return Entry(MailState.SENT, None)
    refused = isinstance(problem, Permanent)
    state = MailState.REFUSED if refused else MailState.SENDING
    return Entry(state, str(problem)[:_LONGEST_ANSWER])


def _in(state: MailState, entries: Mapping[str, Entry]) -> list[str]:
    return [recipient for recipient, entry in entries.items() if entry.state is state]
