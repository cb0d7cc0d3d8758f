"""One end of a connection through the proxy."""

import asyncio
import contextlib
import socket
import struct


class Side:
    """What the client or the server sends and hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(0)  # what is sent is in the kernel's hands

    async def read(self) -> bytes:
        """Some bytes; none at the end. Raises `ConnectionError` after a reset."""
        return await self._reader.read(1 << 16)

    async def send(self, data: bytes) -> None:
        """Send it all. Raises `ConnectionError` when nobody can hear it any more."""
        if self._writer.is_closing():
            raise ConnectionResetError("This side was ended")
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """End it (FIN), after what the kernel has taken; TLS says no goodbye."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """End it at once, with an RST."""
        plain: socket.socket = self._writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def closed(self) -> None:
        """Return when it has ended, in whatever way."""
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
