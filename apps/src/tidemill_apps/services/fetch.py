"""Pages, feeds and files of the internet, by URLs that users chose."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Final, Self
from urllib.parse import urljoin

import httpx
import msgspec

from tidemill import OutboundRefused, Permanent
from tidemill.outbound import Network, checked_url, guarded_client
from tidemill_apps.services.errors import http_error, unreachable

MOST_BYTES: Final = 10 * 1024 * 1024
MOST_REDIRECTS: Final = 5
WITHIN: Final = timedelta(seconds=60)

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL answered.

    `url` is where the last redirect led. `body` is None when the page is still the one of the
    `etag` or `modified` (its Last-Modified, as it was written) that the caller has.
    """

    url: str
    body: bytes | None
    content_type: str | None = None
    etag: str | None = None
    modified: str | None = None


class Fetch:
    """Gets URLs through the guard of `tidemill.outbound`; close it, or use it in `async with`.

    Each redirect goes through the guard again, and none leads from https to http. Networks in
    `allow` are not refused (an installation's own), plain http unless `allow_http`.
    """

    def __init__(
        self,
        *,
        allow: Sequence[Network] = (),
        allow_http: bool = True,
        most_bytes: int = MOST_BYTES,
        most_redirects: int = MOST_REDIRECTS,
        within: timedelta = WITHIN,
    ) -> None:
        self._most_redirects = most_redirects
        self._within = within.total_seconds()
        self._check = partial(checked_url, allow=allow, allow_http=allow_http)
        self._client = guarded_client(allow=allow, allow_http=allow_http, most_bytes=most_bytes)
        # what one user's page sets is not for the page of another
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def get(
        self, url: str, *, etag: str | None = None, modified: str | None = None
    ) -> Fetched:
        """What a URL answers, redirects followed, all within the time given.

        Raises `Permanent` (code `outbound_refused`) for what the guard refuses (an address of this
        network, too many bytes) and for too many redirects, what `http_error` says for an answer
        that is no success, and `Unavailable` where nothing answers in time.
        """
        known = {"If-None-Match": etag, "If-Modified-Since": modified}
        headers = {name: value for name, value in known.items() if value is not None}
        try:
            async with asyncio.timeout(self._within):
                answer = await self._followed(url, headers)
        except OutboundRefused as error:
            raise Permanent(f"{_shown(url)}: {error}", code="outbound_refused") from error
        except httpx.InvalidURL as error:
            raise Permanent(f"{_shown(url)} is no URL: {error}", code="bad_request") from error
        except (httpx.TransportError, TimeoutError) as error:
            raise unreachable(_shown(url), error) from error
        if answer.status_code == httpx.codes.NOT_MODIFIED and headers:
            return Fetched(url=str(answer.url), body=None, etag=etag, modified=modified)
        if not answer.is_success:
            told = f"{_shown(str(answer.url))} answered {answer.status_code}"
            raise http_error(answer.status_code, told, answer.headers)
        return Fetched(
            url=str(answer.url),
            body=answer.content,
            content_type=answer.headers.get("content-type"),
            etag=answer.headers.get("etag"),
            modified=answer.headers.get("last-modified"),
        )

    async def _followed(self, url: str, headers: dict[str, str]) -> httpx.Response:
        for _ in range(self._most_redirects + 1):
            answer = await self._client.get(self._check(url), headers=headers)
            target = answer.headers.get("location")
            if answer.status_code not in _REDIRECTS or target is None:
                return answer
            url = _next(url, target)
        raise OutboundRefused(f"it redirects more than {self._most_redirects} times")


def _next(url: str, target: str) -> str:
    """Where a redirect leads; its fragment, which is not sent, is kept off."""
    try:
        following, _, _ = urljoin(url, target).partition("#")
    except ValueError as error:
        raise OutboundRefused(f"it redirects to what is no URL: {error}") from error
    if url.lower().startswith("https:") and not following.lower().startswith("https:"):
        raise OutboundRefused(f"it redirects from https to {_shown(following)}")
    return following


def _shown(url: str) -> str:
    """A URL for an error: without a password and a query, which may hold secrets."""
    return re.sub(r"//[^/]*@", "//", url.partition("?")[0])
