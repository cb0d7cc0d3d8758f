"""What can go wrong on a connection: values that `Proxy.fault` takes.

`when` names the request that is hit: one that contains these bytes, `b""` being any. A reply is hit
when its request was.
"""

from typing import Literal

import msgspec

#: Requests go to the server, replies to the client.
Direction = Literal["requests", "replies"]


class Delay(msgspec.Struct, frozen=True):
    """Messages arrive so much later, or when the proxy is healed; their order stays."""

    seconds: float
    direction: Direction | None = None  # both
    when: bytes = b""


class CutBefore(msgspec.Struct, frozen=True):
    """The connection is closed in place of forwarding a request: it never reaches the server."""

    times: int = 1
    when: bytes = b""


class CutAfter(msgspec.Struct, frozen=True):
    """The connection is closed in place of a reply: what was asked is done, but nobody hears so."""

    times: int = 1
    when: bytes = b""


class Swallow(msgspec.Struct, frozen=True):
    """Half-open: from a message on, a direction carries nothing, not even the end of it.

    The connection stays like this for good, also when the proxy is healed, as bytes that came after
    a gap would.
    """

    direction: Direction
    when: bytes = b""


class ResetAfter(msgspec.Struct, frozen=True):
    """RST to both sides when so many bytes, counted from a message on, have gone through."""

    size: int
    direction: Direction = "replies"
    times: int = 1
    when: bytes = b""


class Refuse(msgspec.Struct, frozen=True):
    """New connections get an RST as soon as they are made; those that exist stay."""


#: None stands for a proxy that only forwards.
Fault = Delay | CutBefore | CutAfter | Swallow | ResetAfter | Refuse


def acts_on(fault: Fault, direction: Direction) -> bool:
    """Whether it touches the messages that go this way."""
    match fault:
        case Delay(direction=None):
            return True
        case Delay(direction=way) | Swallow(direction=way) | ResetAfter(direction=way):
            return way == direction
        case CutBefore():
            return direction == "requests"
        case CutAfter():
            return direction == "replies"
        case Refuse():
            return False
