"""One folder of a mail server, open for reading."""

import imaplib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from imap_tools.errors import UnexpectedCommandStatusError

from tidemill import Permanent
from tidemill_apps.mailroom.imap.answers import Fetched, mails, numbers, sizes
from tidemill_apps.mailroom.imap.connecting import Connection, connect
from tidemill_apps.mailroom.imap.planning import BATCH, requests
from tidemill_apps.mailroom.imap.server import MailServer, check_text
from tidemill_apps.services.errors import imap_error, unreachable

MOST_BYTES: Final = 10 * 1024 * 1024
"""Of a longer mail only so many first bytes are fetched: its header, and what comes first."""

AT_ONCE: Final = 16 * 1024 * 1024
"""Bytes of mail that are held at a time."""

TIMEOUT: Final = timedelta(seconds=20)
_LINE: Final = 32
"""Bytes in which a server lists one UID, or adds to one mail, with room to spare."""


class MailFolder:
    """A folder that was opened by `open_folder`; close it, or use it in `with`.

    Its `uidvalidity` and the number of its `mails` are those of the moment when it was opened.
    """

    def __init__(
        self, server: MailServer, connection: Connection, name: str, most_bytes: int
    ) -> None:
        self._server = server
        self._connection = connection
        self._client = connection.box.client
        self._most_bytes = most_bytes
        with _answering(server):
            connection.box.folder.set(name, readonly=True)
            self.uidvalidity = self._number("UIDVALIDITY")
            self.mails = self._number("EXISTS")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.abort()
        self.close()

    def uids(self, first: int = 1) -> list[int]:
        """The UIDs from `first` on, rising; with them perhaps the last mail's, a lower one."""
        self._connection.expect(_LINE * self.mails)
        return numbers(self._uid("SEARCH", "UID", f"{first}:*"))

    def fetch(self, uids: Sequence[int]) -> Iterator[tuple[Fetched, ...]]:
        """The mails with these UIDs, some at a time; they stay as unread as they are.

        All mails up to the highest UID of a group have been given with it. Mails that are gone
        meanwhile are left out.
        """
        for at in range(0, len(uids), BATCH):
            yield from self._fetched(uids[at : at + BATCH])

    def abort(self) -> None:
        """Break the connection off, from any thread: whoever waits for it gets `Unavailable`."""
        self._connection.abort()

    def close(self) -> None:
        """Close the connection; nothing in the folder has changed."""
        self._connection.close()

    def _fetched(self, uids: Sequence[int]) -> Iterator[tuple[Fetched, ...]]:
        self._connection.expect(0)
        known = sizes(self._uid("FETCH", _joined(uids), "(UID RFC822.SIZE)"))
        most = self._most_bytes
        # one byte more than is kept tells whether a mail has more
        wanted = f"(UID INTERNALDATE BODY.PEEK[]<0.{most + 1}>)"
        for together in requests(uids, known, most_bytes=most, at_once=AT_ONCE):
            # sizes are estimates on some servers, and lies on others
            self._connection.expect(2 * max(AT_ONCE, most))
            found = {
                each.uid: each
                for each in mails(self._uid("FETCH", _joined(together), wanted), most)
            }
            yield tuple(found[uid] for uid in together if uid in found)

    def _uid(self, command: str, *arguments: str) -> list[bytes | tuple[bytes, bytes] | None]:
        with _answering(self._server):
            status, data = self._client.uid(command, *arguments)
            if status != "OK":
                raise _refused(self._server, status, data)
            return data

    def _number(self, name: str) -> int:
        _, found = self._client.response(name)
        text = found[-1] if found else None
        if not isinstance(text, bytes) or not text.isdigit():
            reason = f"{self._server} does not tell the {name} of the folder"
            raise Permanent(reason, code="not_supported")
        return int(text)


def open_folder(
    server: MailServer,
    name: str,
    *,
    timeout: timedelta = TIMEOUT,
    allow_private: bool = False,
    most_bytes: int = MOST_BYTES,
) -> MailFolder:
    """Log in and open a folder, for reading only; `timeout` holds for each step, not for all.

    Hosts with addresses that are not of the internet are refused (`Permanent`, code
    `outbound_refused`) unless `allow_private`. A wrong password is `Permanent` with the code
    `auth_failed`; a server that cannot be reached, or breaks off, is `Unavailable`.
    """
    check_text("folder", name)
    connection = connect(server, timeout=timeout.total_seconds(), allow_private=allow_private)
    try:
        _log_in(server, connection)
        return MailFolder(server, connection, name, most_bytes)
    except BaseException:
        connection.abort()
        connection.close()
        raise


def _log_in(server: MailServer, connection: Connection) -> None:
    if "LOGINDISABLED" in connection.box.client.capabilities:
        reason = f"{server} takes no password on this connection: use TLS or STARTTLS"
        raise Permanent(reason, code="auth_failed")
    plain = server.username.isascii() and server.password.isascii()
    log_in = connection.box.login if plain else connection.box.login_utf8
    with _answering(server, login=True):
        log_in(server.username, server.password, initial_folder=None)


@contextmanager
def _answering(server: MailServer, *, login: bool = False) -> Iterator[None]:
    """Raise what imaplib raises as what it means for a task.

    Its own error is not told as the cause: a server may repeat the password in it.
    """
    try:
        yield
    except UnexpectedCommandStatusError as error:
        status, data = error.command_result
        raise _refused(server, status, data, login=login) from None
    except imaplib.IMAP4.abort as error:
        raise unreachable(str(server), ConnectionError(server.veiled(str(error)))) from None
    except imaplib.IMAP4.error as error:
        # its `login_utf8` raises the bare text of a NO
        status = "BAD" if " error: BAD " in str(error) else "NO"
        raise _refused(server, status, [str(error).encode()], login=login) from None
    except (OSError, ValueError) as error:
        raise unreachable(str(server), error) from error


def _refused(
    server: MailServer, status: str, data: Sequence[object], *, login: bool = False
) -> Exception:
    last = data[-1] if data else b""
    text = last.decode("utf-8", "replace") if isinstance(last, bytes) else ""
    known = status if status in {"NO", "BAD", "BYE"} else "BAD"
    return imap_error(known, server.veiled(text), login=login)  # type: ignore[arg-type]


def _joined(uids: Sequence[int]) -> str:
    return ",".join(map(str, uids))
