"""What a pool asks the engine for, when each queue has slots of its own; pure but for waiting."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from tidemill.task import Claim

Queues = tuple[str, ...] | None
"""Queues by name; None are all, later ones too."""


class Ask(NamedTuple):
    """One claim: from which queues, and how many at most."""

    queues: Queues
    limit: int


class Shares(Protocol):
    """Divides a pool's free slots among queues."""

    def asks(self, limit: int) -> Sequence[Ask]:
        """The claims to make for so many slots, one after the other; none when no queue has room.

        Together they may ask for more than `limit`: the caller stops when it has that many.
        """
        ...

    def answered(self, ask: Ask, claims: Sequence[Claim]) -> None:
        """What the engine gave."""
        ...

    @property
    def withheld(self) -> bool:
        """Whether a queue was not asked for as it has no room."""
        ...

    async def room(self) -> None:
        """Return when a queue has room that had none."""
        ...


class Undivided:
    """All queues share all slots, as with a fixed concurrency."""

    withheld = False

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def asks(self, limit: int) -> Sequence[Ask]:
        return (Ask(self._queues, limit),)

    def answered(self, ask: Ask, claims: Sequence[Claim]) -> None:
        """Nothing depends on it."""

    async def room(self) -> None:
        """No queue is ever without room."""


def divided(
    queues: Queues, known: Iterable[str], rooms: Mapping[str, int], limit: int
) -> tuple[Ask, ...]:
    """The claims that give no queue more than its room.

    Queues whose room is alike ask together, up to the least room among them: at least half of what
    each may have, in a few calls for any number of queues. Where all may have all, they ask as one.
    """
    names = tuple(known) if queues is None else queues
    if not names:
        return (Ask(queues, limit),)
    groups: dict[int, list[str]] = {}
    for name in names:
        if rooms[name] > 0:
            groups.setdefault(min(limit, rooms[name]).bit_length(), []).append(name)
    return tuple(
        Ask(
            queues if len(group) == len(names) else tuple(group),
            min(limit, *(rooms[name] for name in group)),
        )
        for _, group in sorted(groups.items(), reverse=True)
    )
