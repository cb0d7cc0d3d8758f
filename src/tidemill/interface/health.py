"""Whether a process lives, and whether it can do its work."""

from typing import Literal

import msgspec


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """The engine answers; `durability` is what it promises (docs/guarantees.md)."""

    status: Literal["ready"] = "ready"
    engine: str
    durability: str
