"""Serving on an open socket, inside a program that handles signals itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn

from tidemill import ConfigError

GRACE: Final = 10
"""Seconds that requests which are under way may take when the server stops."""

_HIGHEST_PORT: Final = 65_535


def listen(host: str, port: int) -> socket.socket:
    """Open a socket; port 0 takes a free one. `ConfigError` for an address that cannot be had."""
    if not 0 <= port <= _HIGHEST_PORT:
        raise ConfigError(f"port {port} is not within 0..{_HIGHEST_PORT}")
    # With the protocol named, as asyncio sends at once (TCP_NODELAY) only on such sockets
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error
    return listening


def url_of(listening: socket.socket) -> str:
    """How a program on this machine reaches it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(api: Any, listening: socket.socket) -> AsyncIterator[None]:
    """Serve for as long as the block takes; afterwards requests have `GRACE` seconds left."""
    config = uvicorn.Config(
        api,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    ticking = asyncio.create_task(server.main_loop())
    try:
        yield
    finally:
        server.should_exit = True
        await ticking
        await server.shutdown(sockets=[listening])
