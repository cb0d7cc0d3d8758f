"""A small HTTP server on the loopback that answers as a test says, and keeps what it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer; `silent` is never."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    silent: bool = False


@dataclass
class Receiver:
    """Answers requests in turn by `replies`, then by the last of them."""

    replies: Sequence[Reply] = (Reply(),)
    port: int = 0
    got: list[Received] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"http://{host}:{self.port}{path}"

    async def until(
        self, fits: Callable[[list[Received]], bool], patience: float = 20
    ) -> list[Received]:
        """What was received, as soon as it is as expected."""
        async with asyncio.timeout(patience), self.changed:
            await self.changed.wait_for(lambda: fits(self.got))
        return list(self.got)

    async def until_count(self, count: int) -> list[Received]:
        return await self.until(lambda got: len(got) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                reply = self.replies[min(len(self.got), len(self.replies) - 1)]
                async with self.changed:
                    self.got.append(Received(request.split(" ")[1], headers, body))
                    self.changed.notify_all()
                if reply.silent:
                    await reader.read()
                    return
                told = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
                told += f"Content-Length: {len(reply.body)}\r\n\r\n"
                writer.write(f"HTTP/1.1 {reply.status} X\r\n{told}".encode() + reply.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(*replies: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a free port of the loopback."""
    receiver = Receiver(replies or (Reply(),))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
