"""Entity tags: what a client already has, and what it believes to change.

A tag is `"<version>.<digest>"`, or `"<digest>"` of what nobody changes by hand. The digest is of
the bytes of the answer: a read that would give the same bytes gives 304 instead. A change compares
the version only: how often a schedule ran does not make an edit of it stale.
"""

import hashlib

_DIGEST_BYTES = 12


def tag_of(body: bytes, version: str = "") -> str:
    """The tag of an answer."""
    digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()
    return f'"{version}.{digest}"' if version else f'"{digest}"'


def has(header: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names this very answer."""
    return header is not None and ("*" in _named(header) or tag in _named(header))


def versions(header: str | None) -> set[str] | None:
    """The versions that `If-Match` names; None where any will do."""
    named = {"*"} if header is None else _named(header)
    return None if "*" in named else {each.strip('"').partition(".")[0] for each in named}


def _named(header: str) -> set[str]:
    return {each.strip().removeprefix("W/") for each in header.split(",")}
