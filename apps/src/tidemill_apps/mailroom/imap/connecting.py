"""A connection to a mail server: to a checked address, with the certificate of the name.

Users name the hosts of their mail, so a host is looked up once, every answer is checked, and the
connection goes to what was checked: a second look-up could be answered otherwise (DNS rebinding).
"""

import imaplib
import socket
import ssl
from ipaddress import ip_address
from typing import Final

from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted

from tidemill import OutboundRefused, Permanent
from tidemill.outbound import refusal
from tidemill_apps.mailroom.imap.server import MailServer
from tidemill_apps.services.errors import unreachable

ANSWER: Final = 1024 * 1024
"""Bytes that the answer to a command may have, besides the mails that were asked for."""


class Connection:
    """A connection that is not yet logged in, and how much may still be read from it."""

    def __init__(self, box: BaseMailBox) -> None:
        self.box = box
        self._left = ANSWER
        self._read, self._readline = box.client.read, box.client.readline
        # imaplib itself reads whatever length a server announces
        box.client.read = self._bounded_read  # type: ignore[method-assign]  # its only hook
        box.client.readline = self._bounded_line  # type: ignore[method-assign]  # its only hook

    def expect(self, size: int) -> None:
        """Allow so many bytes of answers, and what surrounds them, until the next call."""
        self._left = size + ANSWER

    def abort(self) -> None:
        """Break the connection off, from any thread: whoever reads from it gets an error."""
        try:
            # not the method of the TLS socket, which takes its state from under a reading thread
            socket.socket.shutdown(self.box.client.sock, socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def close(self) -> None:
        """Say goodbye to the server and close; on a broken connection just close."""
        self.expect(0)
        try:
            self.box.client.logout()
        except (OSError, ValueError, imaplib.IMAP4.error):
            _shut(self.box)

    def _bounded_read(self, size: int) -> bytes:
        self._count(size)
        return self._read(size)

    def _bounded_line(self) -> bytes:
        line = self._readline()
        self._count(len(line))
        return line

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise imaplib.IMAP4.abort("it answers with more than was asked for")


def connect(server: MailServer, *, timeout: float, allow_private: bool = False) -> Connection:
    """Connect to the first address of the host that answers; `timeout` (s) holds for each step.

    Raises `Permanent` where the address is refused (`outbound_refused`), the certificate is not
    that of the name (`untrusted`) or the server has no STARTTLS (`not_supported`), and
    `Unavailable` where nothing answers as an IMAP server in time.
    """
    problem: Exception = OSError("the host has no address")
    try:
        for address in addresses(server.host, server.port, allow_private=allow_private):
            try:
                return Connection(_opened(server, address, timeout))
            except ssl.SSLCertVerificationError as error:
                reason = f"{server} is not trusted: {error.verify_message}"
                raise Permanent(reason, code="untrusted") from error
            except (OSError, ValueError, imaplib.IMAP4.error) as error:
                problem = error
    except OutboundRefused as error:
        raise Permanent(f"{server}: {error}", code="outbound_refused") from error
    except (OSError, UnicodeError) as error:
        raise unreachable(str(server), error) from error
    raise unreachable(str(server), problem) from problem


def addresses(host: str, port: int, *, allow_private: bool = False) -> list[str]:
    """The addresses of a host; one that is refused refuses them all (`OutboundRefused`).

    What is not of the internet is refused, unless `allow_private`.

    Raises OSError or UnicodeError for a host that cannot be looked up.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    known = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for each in known:
        why = None if allow_private else refusal(ip_address(each))
        if why is not None:
            raise OutboundRefused(f"{host} leads to {each}, which is refused: {why}")
    return known


class _ForName:
    """Makes TLS connections to addresses that prove to be those of a name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._context = ssl.create_default_context()

    def wrap_socket(self, sock: socket.socket, **_: object) -> ssl.SSLSocket:
        """What imaplib calls, with the address that it connected to as the name."""
        return self._context.wrap_socket(sock, server_hostname=self._name)


def _opened(server: MailServer, address: str, timeout: float) -> BaseMailBox:
    if server.security == "tls":
        context = _ForName(server.host)
        return MailBox(address, server.port, timeout=timeout, ssl_context=context)
    box = MailBoxUnencrypted(address, server.port, timeout=timeout)
    if server.security == "none":
        return box
    try:
        if "STARTTLS" not in box.client.capabilities:
            reason = f"{server} offers no STARTTLS: the password would go unencrypted"
            raise Permanent(reason, code="not_supported")
        box.client.starttls(_ForName(server.host))
    except BaseException:
        _shut(box)
        raise
    return box


def _shut(box: BaseMailBox) -> None:
    try:
        box.client.shutdown()
    except (OSError, ValueError):
        box.client.sock.close()
