"""Real IMAP servers on the loopback, and what goes wrong between them and us."""

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import socket
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from imap_tools import MailBoxUnencrypted

from tests.servers.certificates import Certificates
from tests.servers.ports import Port
from tests.servers.process import Process
from tests.servers.waiting import until
from tidemill_apps.mailroom.imap import MailServer

HOST: Final = "127.0.0.1"
USER: Final = "ann"
PASSWORD: Final = "tide-and-mill"


@dataclass(frozen=True, slots=True)
class ImapServer:
    """A running server with one account."""

    port: int
    process: Process

    def account(self, *, port: int | None = None, password: str = PASSWORD) -> MailServer:
        """The account as the mailroom sees it, perhaps through a relay, or a wrong password."""
        return MailServer(HOST, port or self.port, "none", USER, password)

    def postman(self) -> "Postman":
        return Postman(self.port)


class Postman:
    """Puts mail into folders, over IMAP like any other client; use it in `with`."""

    def __init__(self, port: int) -> None:
        self._box = MailBoxUnencrypted(HOST, port, timeout=30)
        # a literal and its end go out as two writes, which the kernel would hold back for 40 ms
        self._box.client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._box.login(USER, PASSWORD, initial_folder=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._box.logout()

    def fill(self, folder: str, mails: Iterable[bytes]) -> None:
        """Append mails to a folder, which is made if it is not there."""
        if not self._box.folder.exists(folder):
            self._box.folder.create(folder)
        for mail in mails:
            self._box.append(mail, folder)

    def move_all(self, old: str, new: str) -> None:
        """Rename a folder, so that another one can have its name."""
        self._box.folder.rename(old, new)

    def delete(self, folder: str) -> None:
        self._box.folder.delete(folder)

    def remove(self, folder: str, uid: int) -> None:
        """Delete a mail for good."""
        self._box.folder.set(folder)
        self._box.delete(str(uid))

    def unread(self, folder: str) -> int:
        return int(self._box.folder.status(folder, ["UNSEEN"])["UNSEEN"])


@contextmanager
def pymap(folder: Path, *, shown: Certificates | None = None) -> Iterator[ImapServer]:
    """A server in pure Python, which keeps mail in memory; it answers when this begins.

    With a certificate to show it offers STARTTLS.
    """
    port = Port.free()
    tls = ["--no-tls"]
    if shown is not None:
        tls = ["--cert", str(shown.certificate), "--key", str(shown.key)]
    command = [
        *(str(Path(sys.executable).with_name("pymap")), *tls, "--no-service", "admin"),
        *("--host", HOST, "--port", str(port.number), "dict"),
        *("--demo-user", USER, "--demo-password", PASSWORD),
    ]
    with _running(command, port, folder / "pymap.log") as server:
        yield server


@contextmanager
def dovecot() -> Iterator[ImapServer]:
    """A server that many people use, which keeps mail as files; needs Debian's dovecot-imapd.

    It runs as nobody where the tests run as root, which it refuses to be.
    """
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    program = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("there is no dovecot: apt-get install dovecot-imapd")
    port = Port.free()
    # pytest's own folders are closed to everybody else
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        group = grp.getgrgid(owner.pw_gid).gr_name
        (folder / "dovecot.conf").write_text(
            _DOVECOT.format(
                folder=folder, port=port.number, user=owner.pw_name, group=group, owner=owner
            )
        )
        command = [program, "-F", "-c", str(folder / "dovecot.conf")]
        if os.geteuid() == 0:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            become = f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"
            command = ["setpriv", *become, *command]
        with _running(command, port, folder / "started.log") as server:
            yield server


_DOVECOT: Final = f"""\
base_dir = {{folder}}/run
state_dir = {{folder}}/state
log_path = {{folder}}/dovecot.log
protocols = imap
listen = {HOST}
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
default_internal_user = {{user}}
default_internal_group = {{group}}
default_login_user = {{user}}
first_valid_uid = {{owner.pw_uid}}
first_valid_gid = {{owner.pw_gid}}
mail_location = maildir:{{folder}}/mail
mail_max_userip_connections = 100
passdb {{{{
  driver = static
  args = password={PASSWORD}
}}}}
userdb {{{{
  driver = static
  args = uid={{owner.pw_uid}} gid={{owner.pw_gid}} home={{folder}}
}}}}
service imap-login {{{{
  chroot =
  inet_listener imap {{{{
    port = {{port}}
  }}}}
  inet_listener imaps {{{{
    port = 0
  }}}}
}}}}
service anvil {{{{
  chroot =
}}}}
service stats {{{{
  chroot =
}}}}
"""


@contextmanager
def _running(command: list[str], port: Port, log: Path) -> Iterator[ImapServer]:
    process = Process(log)
    try:
        process.start(command)
        until(lambda: not process.running or _answers(port.number), f"{command[0]} answers")
        if not process.running:
            raise RuntimeError(f"{command[0]} ended: {log.read_text()}")
        yield ImapServer(port.number, process)
    finally:
        process.close()
        port.close()


def _answers(port: int) -> bool:
    with socket.create_connection((HOST, port), timeout=5) as opened:
        return opened.recv(4) == b"* OK"


class Relay:
    """Passes connections on to a server, speaking TLS if it is given a context.

    Once more than `after` bytes have come from the server, a connection is cut, or (`hold`) gets no
    more of them until `released`; that happens to one connection, and then to no other.
    """

    def __init__(
        self,
        target: int,
        *,
        tls: ssl.SSLContext | None = None,
        after: int | None = None,
        hold: bool = False,
    ) -> None:
        self.port = 0
        self.struck = asyncio.Event()
        self.released = asyncio.Event()
        self.ended = asyncio.Event()
        """Whether a connection has ended, whoever ended it."""
        self._target = target
        self._tls = tls
        self._after = after
        self._hold = hold
        self._open = set[asyncio.Task[None]]()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        listener = await asyncio.start_server(self._accept, HOST, 0, ssl=self._tls)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            for each in self._open:
                each.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await listener.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing = asyncio.ensure_future(self._pass(reader, writer))
        self._open.add(passing)
        passing.add_done_callback(self._open.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection(HOST, self._target)
        ways = [
            asyncio.ensure_future(each)
            for each in (self._back(there, writer), _pump(reader, to_there))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for each in (writer, to_there):
                each.transport.abort()
            self.ended.set()

    async def _back(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while data := await there.read(4096):
            passed += len(data)
            if self._after is not None and passed > self._after and not self.struck.is_set():
                self.struck.set()
                if not self._hold:
                    return
                await self.released.wait()
            writer.write(data)
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()


class Scripted:
    """A server that says what a test wants: for faults that no real server has on demand.

    `said` gives the lines to answer to a command, by its first words; what it does not know is
    answered with OK. `heard` are the lines that came.
    """

    def __init__(self, said: dict[bytes, list[bytes]], greeting: bytes = b"* OK ready") -> None:
        self.heard: list[bytes] = []
        self.port = 0
        self._said = said
        self._greeting = greeting
        self._news = asyncio.Event()

    async def hears(self, words: bytes) -> None:
        """Return once a line with these words has come."""
        while not any(words in line for line in self.heard):
            self._news.clear()
            await self._news.wait()

    def account(self) -> MailServer:
        return MailServer(HOST, self.port, "none", USER, PASSWORD)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        listener = await asyncio.start_server(self._accept, HOST, 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            await listener.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(self._greeting + b"\r\n")
            while line := await reader.readline():
                self.heard.append(line.strip())
                self._news.set()
                tag, _, rest = line.strip().partition(b" ")
                for each in self._answer(rest):
                    writer.write(each.replace(b"TAG", tag) + b"\r\n")
                await writer.drain()
        writer.transport.abort()

    def _answer(self, rest: bytes) -> list[bytes]:
        known = (lines for words, lines in self._said.items() if rest.startswith(words))
        usual = {
            b"CAPABILITY": [b"* CAPABILITY IMAP4rev1", b"TAG OK done"],
            b"EXAMINE": [b"* 3 EXISTS", b"* OK [UIDVALIDITY 7] valid", b"TAG OK [READ-ONLY]"],
        }
        return next(known, usual.get(rest.partition(b" ")[0], [b"TAG OK done"]))
