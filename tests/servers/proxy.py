"""A TCP proxy for the tests' servers, in which things go wrong on demand.

It understands the servers' protocol (not that of TLS) and forwards whole messages, so that a fault
hits a request or a reply, and not some bytes that happened to travel together.
"""

import asyncio
from functools import partial
from typing import Self

from tests.servers.certificates import Certificates
from tests.servers.connection import Connection
from tests.servers.faults import Fault, Refuse
from tests.servers.side import Side
from tests.servers.trigger import Trigger


class Proxy:
    """`async with Proxy(server.port) as proxy`, then connect to `proxy.port`.

    With `tls` clients must speak TLS to it, while it speaks plainly to the server. When the server
    is down, new connections get an RST.
    """

    def __init__(self, target_port: int, *, tls: Certificates | None = None) -> None:
        self._target = target_port
        self._tls = None if tls is None else tls.context()
        self._trigger = Trigger()
        self._open: set[asyncio.Task[None]] = set()
        self._broken: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self._port = int(self._listener.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        await self.cut()
        await self._listener.wait_closed()
        if self._broken:
            raise self._broken[0]

    @property
    def port(self) -> int:
        """Where to connect to, on 127.0.0.1."""
        return self._port

    @property
    def fault(self) -> Fault | None:
        """What goes wrong from now on, on old and new connections; one at a time."""
        return self._trigger.fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self._trigger.set(fault)

    def heal(self) -> None:
        """Let nothing more go wrong; what is delayed arrives now."""
        self._trigger.set(None)

    @property
    def strikes(self) -> int:
        """How often the fault struck that was set last.

        It strikes once for every message that it delays or swallows, and for every connection that
        it cuts, resets or refuses.
        """
        return self._trigger.strikes

    async def struck(self, times: int = 1) -> None:
        """Return as soon as the fault has struck that often; `TimeoutError` after 30 s."""
        try:
            async with asyncio.timeout(30):
                await self._trigger.struck(times)
        except TimeoutError:
            told = f"{self.fault} struck {self.strikes} times within 30 s, not {times}"
            raise TimeoutError(told) from None

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def cut(self) -> None:
        """Close all connections that are open."""
        ends = list(self._open)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(reader, writer)
        serving = asyncio.create_task(self._serve(client))
        self._open.add(serving)
        serving.add_done_callback(partial(self._ended, client))

    def _ended(self, client: Side, serving: asyncio.Task[None]) -> None:
        client.close()  # for one that was cut before it could begin
        self._open.discard(serving)
        if not serving.cancelled() and (broken := serving.exception()) is not None:
            self._broken.append(broken)

    async def _serve(self, client: Side) -> None:
        if isinstance(self._trigger.fault, Refuse):
            self._trigger.strike()
            client.reset()
            return
        try:
            server = Side(*await asyncio.open_connection("127.0.0.1", self._target))
        except ConnectionError:
            client.reset()
            return
        await Connection(client, server, self._trigger).run()
