"""The forms that requests have."""

from collections.abc import Mapping
from typing import Any, Final

from tidemill.client.asking import Ask, said

API: Final = "/api/v1"


def read(
    at: str, answer: Any, query: Mapping[str, Any] | None = None, *, wait: float | None = None
) -> Ask[Any]:
    """A request that changes nothing; with `wait` the server may take so many seconds."""
    return Ask(
        method="GET",
        path=at,
        answer=answer,
        query=query or {},
        headers=prefer(wait),
        patience=wait or 0,
    )


def post(
    at: str,
    answer: Any,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Ask[Any]:
    """A request that makes or does something."""
    return Ask(method="POST", path=at, answer=answer, body=body, headers=headers or {})


def prefer(wait: float | None) -> dict[str, str]:
    """The header that lets the server wait for so many seconds."""
    return {} if wait is None else {"Prefer": f"wait={wait:g}"}


def if_match_of(etag: str | None) -> dict[str, str]:
    """The header that binds a change to what was read."""
    return said({"If-Match": etag})


def integers(*, exact: bool) -> dict[str, str]:
    """The query under which large integers come as texts."""
    return {"big_integers": "string"} if exact else {}
