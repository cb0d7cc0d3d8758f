"""What the gate reads of a request: a few headers, and where it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

LONGEST_CREDENTIAL: Final = 4096
"""Bytes; keys have 66, tokens several hundred."""

_READ: Final = frozenset(
    {b"authorization", b"x-api-key", b"cookie", b"host", b"origin", b"sec-fetch-site"}
)
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BEARER: Final = b"bearer "
_WRONG: Final = b""
"""What stands for a credential that cannot be one: no secret is empty."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `path` is below `root`, under which the interface is found."""

    scope: Mapping[str, Any]
    method: str
    path: str
    root: str
    headers: Mapping[bytes, bytes]

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Self:
        """The request of an ASGI scope. A header that comes twice says both, and so nothing."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _READ:
                before = headers.get(name)
                joint = b"; " if name == b"cookie" else b", "
                headers[name] = value if before is None else before + joint + value
        root = scope.get("root_path", "").rstrip("/")
        path = scope["path"]
        below = path[len(root) :] if path.startswith(f"{root}/") else path
        return cls(scope, scope["method"], below, root, headers)

    @property
    def secure(self) -> bool:
        """Whether the browser sees https; a proxy on this machine says so."""
        return bool(self.scope.get("scheme") == "https")

    @property
    def credential(self) -> bytes | None:
        """The key or token that it brings; empty for one that cannot be right, None for none."""
        told = self.headers.get(b"authorization")
        if told is None:
            found = self.headers.get(b"x-api-key")
        else:
            found = told[len(_BEARER) :].strip() if told[:7].lower() == _BEARER else _WRONG
        if found is None:
            return None
        return found if len(found) <= LONGEST_CREDENTIAL else _WRONG

    @property
    def session(self) -> bytes | None:
        """The secret of the session that its cookie names."""
        return self.cookie(session_cookie(self))

    def cookie(self, name: str) -> bytes | None:
        """A cookie by its name."""
        wanted = name.encode()
        for part in self.headers.get(b"cookie", b"").split(b";"):
            found, is_one, value = part.strip().partition(b"=")
            if is_one and found == wanted:
                return value
        return None

    @property
    def forged(self) -> bool:
        """Whether another site may have made a browser send this, to change something.

        A key or token that is brought is proof enough: browsers add none by themselves. Else the
        browser says where it comes from, in `Sec-Fetch-Site`, or in `Origin` where that is not
        sent; with a cookie it has to.
        """
        if self.method in _SAFE or self.credential is not None:
            return False
        site, origin = self.headers.get(b"sec-fetch-site"), self.headers.get(b"origin")
        if site is not None:
            return site not in {b"same-origin", b"none"}
        if origin is not None:
            return origin.partition(b"://")[2].lower() != self.headers.get(b"host", b"").lower()
        return b"cookie" in self.headers

    def is_for(self, hosts: frozenset[str]) -> bool:
        """Whether it asks for one of these hosts, whatever the port."""
        try:
            name = urlsplit(f"//{self.headers.get(b'host', b'').decode('ascii')}").hostname
        except ValueError:
            return False
        return name in hosts


def session_cookie(asked: Asked) -> str:
    """The name of the cookie; behind TLS one that plain pages of the same host cannot set."""
    if not asked.secure:
        return "tidemill"
    return "__Secure-tidemill" if asked.root else "__Host-tidemill"
