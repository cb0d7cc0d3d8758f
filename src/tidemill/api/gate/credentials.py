"""From what a request brings to what it proves."""

from typing import Final

from tidemill.access import Access
from tidemill.api.gate.asking import Asked
from tidemill.api.joining import Joined
from tidemill.api.services import Everywhere
from tidemill.app import Tidemill
from tidemill.app.credentials import ApiKeys, Logins
from tidemill.app.credentials.secrets import digest_of
from tidemill.app.credentials.tokens import Tokens

_DOTS_OF_TOKEN: Final = 2


class Credentials:
    """Checks API keys and sessions of an application's engine, and tokens where they are taken.

    A wrong key costs the same, however wrong: its digest, and one look-up, which those of others
    join that come at the same time.
    """

    def __init__(self, app: Tidemill, tokens: Tokens | None) -> None:
        self._tokens = tokens
        self._keys = Kept(app.keys)
        self._sessions = Kept(app.logins)

    async def __call__(self, asked: Asked) -> Access | None:
        """What a request proves; None without credentials, and for wrong ones."""
        credential = asked.credential
        if credential is None:
            session = asked.session
            return None if session is None else await self._sessions.access(session)
        if self._tokens is not None and credential.count(b".") == _DOTS_OF_TOKEN:
            return self._tokens.read(credential.decode("latin-1"))
        return await self._keys.access(credential)


class Kept:
    """Secrets that the engine knows by their digest."""

    def __init__(self, kept: ApiKeys | Logins) -> None:
        self._kept = kept
        self._looking: Everywhere[Joined[str, Access | None]] = Everywhere(
            lambda: Joined(kept.look_up)
        )

    async def access(self, secret: bytes) -> Access | None:
        """What a secret proves."""
        digest = digest_of(secret)
        return self._kept.known(digest) or await self._looking.here().call(digest)
