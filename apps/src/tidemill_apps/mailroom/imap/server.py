"""Which mail server, and as whom."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from tidemill import Permanent

Security: TypeAlias = Literal["tls", "starttls", "none"]
"""TLS from the first byte (usually port 993), after `STARTTLS` (143), or no encryption at all."""

_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class MailServer:
    """An account on a mail server; `password` is in no representation and no error of it.

    Raises `Permanent` (code `bad_request`) for values that no server can have. Control characters
    are refused everywhere: in a line of the protocol they would begin a new command.
    """

    host: str
    port: int
    security: Security
    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.host or any(each.isspace() for each in self.host):
            raise Permanent(f"{self.host!r} is not the name of a host", code="bad_request")
        if not 0 < self.port <= _HIGHEST_PORT:
            raise Permanent(f"{self.port} is not a port: 1 to {_HIGHEST_PORT}", code="bad_request")
        if self.security not in get_args(Security):
            known = ", ".join(get_args(Security))
            raise Permanent(f"{self.security!r} is not one of {known}", code="bad_request")
        for name in ("host", "username", "password"):
            check_text(name, getattr(self, name))

    def __str__(self) -> str:
        return f"the mail server {self.host}:{self.port}"

    def veiled(self, text: str) -> str:
        """A text, such as a server's answer, without the password that it may repeat."""
        return text.replace(self.password, "***") if self.password else text


def check_text(name: str, value: str) -> None:
    """Raise `Permanent` where a value holds what a line of the protocol cannot."""
    if any(ord(each) < 0x20 or each == "\x7f" or 0xD800 <= ord(each) < 0xE000 for each in value):
        raise Permanent(f"the {name} holds a control character", code="bad_request")
