"""An HTTP client that looks a name up once, checks every answer, and connects to what it checked.

Between a check and a second look-up the answer can change (DNS rebinding), so there is none: the
connection is opened to the checked address, while the certificate is still that of the name.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, Final

from tidemill.errors import ConfigError, OutboundRefused
from tidemill.outbound.addresses import Address, Network, refusal
from tidemill.outbound.urls import checked_url, literal

try:
    import httpcore
    import httpx
except ImportError as error:
    raise ConfigError(
        "outbound requests need httpx, which is not installed: pip install 'tidemill[http]'"
    ) from error

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Looks a name up for a port; answers addresses as texts, or raises OSError."""

TIMEOUT: Final = timedelta(seconds=15)
MOST_BYTES: Final = 64 * 1024


def guarded_client(
    *,
    allow: Sequence[Network] = (),
    allow_http: bool = False,
    timeout: timedelta = TIMEOUT,
    most_bytes: int = MOST_BYTES,
    verify: ssl.SSLContext | None = None,
    resolve: Resolve | None = None,
) -> httpx.AsyncClient:
    """A client for URLs that users chose; close it with `aclose`, or use it in `async with`.

    `OutboundRefused` is raised for URLs and addresses that are not of the internet, unless their
    network is in `allow`, for plain http unless `allow_http`, and for a body of more than
    `most_bytes`. Redirects are answered, not followed; if a caller follows one, it is checked the
    same. Nothing is taken from the environment: no proxy, no .netrc, no certificates.
    `timeout` holds for each step (connect, write, read). `verify` replaces the usual certificate
    authorities, `resolve` the system's look-up.
    """
    transport = _Guarded(
        _Connections(tuple(allow), resolve or system_lookup),
        checked=lambda url: checked_url(url, allow=allow, allow_http=allow_http),
        most_bytes=most_bytes,
        verify=verify or httpx.create_ssl_context(trust_env=False),
    )
    return httpx.AsyncClient(
        transport=transport,
        timeout=timeout.total_seconds(),
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "tidemill"},
    )


async def system_lookup(host: str, port: int) -> list[str]:
    """Ask the system's resolver, on a thread."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Connections(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, allowed: tuple[Network, ...], resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        problem: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._addresses(host, port, timeout):
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """The addresses of a host; one that is refused refuses them all."""
        written = literal(host)
        found = [written] if written is not None else await self._looked_up(host, port, timeout)
        for address in found:
            why = refusal(address, self._allowed)
            if why is not None:
                raise OutboundRefused(f"{host} leads to {address}, which is refused: {why}")
        return found

    async def _looked_up(self, host: str, port: int, timeout: float | None) -> list[Address]:
        try:
            async with asyncio.timeout(timeout):
                return [ip_address(text) for text in await self._resolve(host, port)]
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"the look-up of {host} took too long") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error}") from error


class _Guarded(httpx.AsyncBaseTransport):
    """Checks each request and bounds each answer; only public parts of httpcore are used."""

    def __init__(
        self,
        connections: _Connections,
        *,
        checked: Callable[[str], str],
        most_bytes: int,
        verify: ssl.SSLContext,
    ) -> None:
        self._checked = checked
        self._most_bytes = most_bytes
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            network_backend=connections,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._checked(str(request.url))
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx(request):
            answer = await self._pool.handle_async_request(asked)
        body = _Bounded(request, answer, self._most_bytes)
        encoding = httpx.Headers(answer.headers).get("content-encoding", "identity")
        if encoding.lower() != "identity":
            await body.aclose()
            raise OutboundRefused(f"its answer is packed ({encoding}), which was not asked for")
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=body,
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Bounded(httpx.AsyncByteStream):
    """The body of an answer, as long as it is not too large."""

    def __init__(self, request: httpx.Request, answer: httpcore.Response, most_bytes: int) -> None:
        self._request = request
        self._answer = answer
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        with _as_httpx(self._request):
            async for part in self._answer.aiter_stream():
                read += len(part)
                if read > self._most_bytes:
                    raise OutboundRefused(f"its answer has more than {self._most_bytes:,} bytes")
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


_AS_HTTPX: Final = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
)


@contextmanager
def _as_httpx(request: httpx.Request) -> Any:
    """Raise what httpcore raises as the error that a user of httpx expects."""
    try:
        yield
    except tuple(each for each, _ in _AS_HTTPX) as error:
        kind = next(known for each, known in _AS_HTTPX if isinstance(error, each))
        raise kind(str(error), request=request) from error
