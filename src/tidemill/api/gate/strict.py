"""Headers of every answer, by which a browser is kept from making anything else of it."""

from collections.abc import Iterable
from typing import Final

Header = tuple[bytes, bytes]

_ALWAYS: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def strict(headers: Iterable[Header]) -> list[Header]:
    """The headers of an answer and the strict ones that it does not have itself."""
    found = list(headers)
    there = {name.lower() for name, _ in found}
    return [*found, *(each for each in _ALWAYS if each[0] not in there)]
