"""One connection to one server: requests go out at once, answers come back in their order.

Whoever asks gets a future, so that concurrent callers share a connection without waiting for each
other, and a caller who is cancelled disturbs nobody: its answer is read and dropped. An awaited
script call costs 13 us of our processor time (8 us with fifty at once), one of redis-py's client
38 us, which was the reason to speak the protocol here, by hiredis.

A server that owes an answer and says nothing for `silence` seconds is taken for gone.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from tidemill.engines.redis.address import Address, Place, Tls
from tidemill.engines.redis.faults import ErrorReply, Lost, refused_connection, refused_login
from tidemill.errors import EngineRefused

CONNECT_TIMEOUT: Final = 5.0  # seconds
SILENCE: Final = 10.0  # seconds

_MORE: Final = object()
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3))  # seconds

Word = bytes | str | int


def packed(*words: Word) -> bytes:
    """A command as it is sent."""
    data: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub has one word
    return data


class Wire(asyncio.Protocol):
    """An open connection; `ask` is all there is to it. Made by `open_wire`."""

    def __init__(
        self, place: Place, *, silence: float, told: Callable[[bytes], None] | None
    ) -> None:
        self.place = place
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ErrorReply, notEnoughData=_MORE)
        self._owed: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._silence = silence
        self._told = told
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._reason = "the connection was closed"
        self._ended: asyncio.Future[None] = self._loop.create_future()

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._transport is None

    def ask(self, data: bytes) -> asyncio.Future[Any]:
        """Send one packed command; the future gives its answer, an `ErrorReply` included.

        It raises `Lost` when the connection ends before the answer.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None:
            _fail(future, Lost(self.place, self._reason, sent=False))
            return future
        if not self._owed:
            self._heard = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(self._silence, self._look)
        self._owed.append(future)
        self._transport.write(data)
        return future

    async def ended(self) -> None:
        """Return once the connection is gone."""
        await asyncio.shield(self._ended)

    def close(self, reason: str = "it was closed by us") -> None:
        """End the connection now; whoever still waits for an answer gets `Lost`."""
        if self._transport is not None:
            self._transport.abort()
            self._end(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the loop)."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is of no such class
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Hand out the answers that are complete (called by the loop)."""
        self._heard = self._loop.time()
        reader = self._reader
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not _MORE:
                self._deliver(reply)
        except hiredis.ProtocolError as error:
            self.close(f"what answers does not speak the Redis protocol ({error})")

    def connection_lost(self, exc: Exception | None) -> None:
        """End (called by the loop)."""
        self._end(str(exc) if exc else "the server closed the connection")

    def _deliver(self, reply: Any) -> None:
        if self._told is not None and isinstance(reply, list) and reply[:1] == [b"message"]:
            self._told(reply[2])
        elif self._owed:
            future = self._owed.popleft()
            if not future.done():
                future.set_result(reply)
        else:  # such as "max number of clients reached", before anything was asked
            self.close(str(reply))

    def _look(self) -> None:
        """Close when the server has owed an answer in silence for too long."""
        self._watch = None
        if not self._owed:
            return
        left = self._heard + self._silence - self._loop.time()
        if left <= 0:
            self.close(f"it has not answered for {self._silence:.0f} s")
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _end(self, reason: str) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._reason = reason
        if self._watch is not None:
            self._watch.cancel()
        for future in self._owed:
            if not future.done():
                _fail(future, Lost(self.place, reason, sent=True))
        self._owed.clear()
        if not self._ended.done():
            self._ended.set_result(None)


def _fail(future: asyncio.Future[Any], error: Lost) -> None:
    future.set_exception(error)
    future.exception()  # nobody has to await it: asyncio would complain


async def open_wire(
    place: Place,
    address: Address,
    *,
    sentinel: bool = False,
    timeout: float = CONNECT_TIMEOUT,
    silence: float = SILENCE,
    told: Callable[[bytes], None] | None = None,
) -> Wire:
    """Connect to a server (or sentinel) and log in; raises `Lost` or `EngineRefused`.

    A server is given the database of the address; one that sentinels named must be a primary.
    `told` gets the payload of every message of channels subscribed to on this connection.
    """
    wire: Wire | None = None
    context = _context(address.tls) if address.tls else None
    try:
        async with asyncio.timeout(timeout):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(place, silence=silence, told=told),
                place.host,
                place.port,
                ssl=context,
            )
            await _greet(wire, address, sentinel=sentinel)
    except BaseException as error:
        if wire is not None:
            wire.close()
        if isinstance(error, TimeoutError):
            hint = " (does it speak TLS?)" if address.tls else ""
            reason = f"it did not answer within {timeout:.0f} s{hint}"
            raise Lost(place, reason, sent=False) from error
        if isinstance(error, OSError):  # also DNS and TLS
            raise refused_connection(place, error) from error
        raise
    return wire


async def _greet(wire: Wire, address: Address, *, sentinel: bool) -> None:
    login = address.sentinel_login if sentinel else address.login
    commands: list[tuple[Word, ...]] = []
    if password := login.password():
        commands.append(("AUTH", *filter(None, [login.username]), password))
    if address.db and not sentinel:
        commands.append(("SELECT", address.db))
    if sentinel:
        commands.append(("PING",))
    elif address.mode == "sentinel":
        commands.append(("ROLE",))
    else:
        commands.append(("ECHO", ""))  # a server that cannot write its disk refuses a ping
    asked = [wire.ask(packed(*command)) for command in commands]
    wire.ask(packed("CLIENT", "SETNAME", "tidemill"))  # for who reads CLIENT LIST; may be refused
    try:
        answers = [await answer for answer in asked]
    except Lost as lost:
        raise Lost(wire.place, lost.reason, sent=False) from lost
    for answer in answers:
        if isinstance(answer, ErrorReply):
            raise refused_login(wire.place, address, answer)
    if isinstance(answers[-1], list) and answers[-1][0] != b"master":
        raise Lost(wire.place, "its sentinels call it the primary, and it is none", sent=False)


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
        if tls.cert:
            context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:
        files = ", ".join(filter(None, (tls.ca, tls.cert, tls.key)))
        raise EngineRefused(f"the TLS files {files} cannot be used: {error}") from error
    return context


def _keep_alive(sock: socket.socket | None) -> None:
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
