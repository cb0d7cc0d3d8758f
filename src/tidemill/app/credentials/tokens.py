"""JSON Web Tokens (RFC 7519): HS256 only, checked by RFC 8725 and never kept.

sub                     who asks; needed
exp                     until when; needed
scope                   the scopes, separated by blanks (RFC 8693); others are left out
user_id, project_id     whose tasks it sees
aud, iss                must be those that the configuration names; an `aud` needs a name there
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

import jwt

from tidemill.access import EVERYONE, Access, Scope, Tenant
from tidemill.app.credentials.secrets import Known, digest_of
from tidemill.clock import SystemClock
from tidemill.configuration import Jwt
from tidemill.errors import ConfigError

ALGORITHM: Final = "HS256"
LEAST_BYTES: Final = 32
"""Of a secret: what RFC 7518 (3.2) asks of HS256."""

LEEWAY: Final = timedelta(seconds=10)
"""By which clocks may differ."""

_KNOWN: Final[Mapping[str, Scope]] = {each.value: each for each in Scope}


class Tokens:
    """Makes and checks tokens with the secret of a configuration.

    Raises `ConfigError` for a secret that is missing or too short.
    """

    def __init__(self, told: Jwt) -> None:
        if told.secret is None:
            raise ConfigError(
                "tokens need server.jwt.secret (or TIDEMILL_SERVER__JWT__SECRET): make one with "
                "`openssl rand -hex 32`"
            )
        if len(told.secret.encode()) < LEAST_BYTES:
            raise ConfigError(
                f"server.jwt.secret has {len(told.secret.encode())} bytes, and whoever guesses it "
                f"may do everything: it needs {LEAST_BYTES} or more; make one with "
                "`openssl rand -hex 32`"
            )
        self._secret = told.secret
        self._told = told
        self._known = Known()

    def make(
        self,
        sub: str,
        scopes: Collection[Scope],
        *,
        tenant: Tenant = EVERYONE,
        good_for: timedelta | None = None,
    ) -> str:
        """A token, good for `expiration_hours` unless it is said."""
        now = SystemClock().now() // 1_000_000
        wait = good_for or timedelta(hours=self._told.expiration_hours)
        claims: dict[str, Any] = {
            "sub": sub,
            "iat": now,
            "exp": now + int(wait.total_seconds()),
            "scope": " ".join(each for each in Scope if each in scopes),
            "user_id": tenant.user_id,
            "project_id": tenant.project_id,
            "aud": self._told.audience,
            "iss": self._told.issuer,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Access | None:
        """What a token proves; None for one that is not good, whatever the reason.

        One that was good within the last second still is: checking each took a quarter off the
        rate of submits (benchmarks/README.md).
        """
        digest = digest_of(token.encode())
        known = self._known.access(digest)
        if known is not None:
            return known
        access = self._checked(token)
        if access is not None:
            self._known.note(digest, access, self._known.changes)
        return access

    def _checked(self, token: str) -> Access | None:
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=self._told.audience,
                issuer=self._told.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "sub"]},
            )
        # PyJWT lets some errors of Python's decoders through, such as that of deeply nested JSON.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return _access(claims)


def _access(claims: Mapping[str, Any]) -> Access | None:
    """The access of checked claims; a claim of another type than text is not understood."""
    said = [claims[each] for each in ("scope", "user_id", "project_id") if each in claims]
    if not claims["sub"] or not all(isinstance(each, str) for each in said):
        return None
    scopes = [_KNOWN[each] for each in claims.get("scope", "").split(" ") if each in _KNOWN]
    return Access(
        who=f"user:{claims['sub']}",
        subject=f"user:{claims['sub']}",
        scopes=frozenset(scopes),
        tenant=Tenant(claims.get("user_id"), claims.get("project_id")),
    )
