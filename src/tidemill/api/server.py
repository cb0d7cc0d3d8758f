"""Serving an ASGI application on an open socket, inside a program that has a loop of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn

from tidemill.configuration.sections import HIGHEST_PORT
from tidemill.errors import ConfigError

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
GRACE: Final = 10
"""Seconds that requests which are under way may take when the server stops."""


def listen(host: str, port: int, *, guarded: bool = False) -> socket.socket:
    """Open a socket; port 0 takes a free one.

    Others than this machine can reach it only if it is `guarded`: if somebody has credentials, and
    nobody gets in without. Raises `ConfigError` for another host that is not, and for an address
    that cannot be had.
    """
    if not 0 <= port <= HIGHEST_PORT:
        raise ConfigError(f"port {port} is not within 0..{HIGHEST_PORT}")
    if host not in LOOPBACK and not guarded:
        raise ConfigError(
            f"nobody could use the HTTP interface on {host}, as there are no credentials: make an "
            "API key (tidemill key create) or set server.jwt.secret first, or listen on 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
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


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine can connect."""
    return listening.getsockname()[0] in LOOPBACK


def url_of(listening: socket.socket) -> str:
    """How a program on this machine reaches it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # a comparison
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def serving(
    api: Any,
    listening: socket.socket,
    *,
    root_path: str = "",
    end: Callable[[], None] | None = None,
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
        log_config=None,
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
        if end is not None:
            end()
        await server.shutdown(sockets=[listening])
