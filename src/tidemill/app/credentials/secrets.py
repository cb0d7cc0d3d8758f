"""Secrets: how they are made, by what the engine knows them, and how long a good one is known."""

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Final

from tidemill.access import Access

BYTES: Final = 32
"""Of randomness in each secret: nobody guesses 256 bits, so that no guess has to be slowed down."""

KNOWN_FOR: Final = 1.0
"""Seconds for which a good secret is not looked up again: another process may have revoked it."""

MOST: Final = 10_000
"""Good secrets that are known at once."""


def new_secret() -> str:
    """A text of 43 letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(BYTES)


def digest_of(secret: bytes) -> str:
    """By what the engine knows a secret: its SHA-256.

    A plain hash is enough for 256 random bits. It is the key of the document, so that looking up a
    wrong secret is the same work whatever is wrong with it.
    """
    return hashlib.sha256(secret).hexdigest()


class Known:
    """The good secrets of the last second; wrong ones are never kept.

    `changes` counts what was forgotten: what was read before a change must not be noted after it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._by_digest: dict[str, tuple[float, Access]] = {}
        self.changes = 0

    def access(self, digest: str) -> Access | None:
        """What a secret proves, if it was good a moment ago."""
        found = self._by_digest.get(digest)
        return None if found is None or found[0] < self._now() else found[1]

    def note(self, digest: str, access: Access, changes: int) -> None:
        """Keep a good one, that was looked up when so many had been forgotten."""
        if changes != self.changes:
            return
        if len(self._by_digest) >= MOST:
            self._by_digest.clear()
        self._by_digest[digest] = (self._now() + KNOWN_FOR, access)

    def forget(self, digest: str) -> None:
        """It is good no more."""
        self.changes += 1
        self._by_digest.pop(digest, None)
