"""Serving an ASGI application on an open socket, inside a program that has a loop of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn

from tidemill.errors import ConfigError

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
GRACE: Final = 10
"""Seconds that requests which are under way may take when the server stops."""


def listen(host: str, port: int) -> socket.socket:
    """Open a socket on the loopback; port 0 takes a free one.

    Raises `ConfigError` for another host, as long as there is no access control, and for an address
    that cannot be had.
    """
    if host not in LOOPBACK:
        raise ConfigError(
            f"the HTTP API has no access control yet and listens on 127.0.0.1, ::1 or localhost "
            f"only, not on {host}: put a proxy that checks who asks before it"
        )
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    try:
        return _opened(family, host, port)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _opened(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # With the protocol named, as asyncio sends at once (TCP_NODELAY) only on such sockets: without,
    # each answer waits about 40 ms for the client's delayed acknowledgement (measured).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening


def url_of(listening: socket.socket) -> str:
    """How a browser on this machine reaches it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    api: Any, listening: socket.socket, *, root_path: str = "", end: Callable[[], None]
) -> AsyncIterator[None]:
    """Serve as long as the context is open, without handling signals.

    When it closes, `end` ends what would go on for ever, such as streams, and requests have `GRACE`
    seconds left.
    """
    config = uvicorn.Config(
        api,
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        root_path=root_path,
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
        end()
        await server.shutdown(sockets=[listening])
