"""A tally as it is written, added to and read."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tidemill.clock import from_micros, to_micros
from tidemill.engine import COUNTED, Resolution, Tally

Stretch = tuple[str, int]
"""(resolution, at)"""
Place = tuple[str, int, str, str]
"""(resolution, at, queue, task_type): the key of a tally."""


class Kept(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A `Tally` as it is written and added to."""

    resolution: Resolution
    at: datetime
    queue: str
    task_type: str
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    reclaimed: int = 0
    ran: int = 0
    waited: int = 0
    runs: dict[int, int] = {}
    waits: dict[int, int] = {}

    @property
    def place(self) -> Place:
        """The key under which it is kept."""
        return (self.resolution.value, to_micros(self.at), self.queue, self.task_type)

    def add(self, other: "Kept | Tally") -> None:
        """Count what another one counts, too."""
        for name in COUNTED:
            more = getattr(other, name)
            if more:
                setattr(self, name, getattr(self, name) + more)
        add(self.runs, other.runs)
        add(self.waits, other.waits)


encode: Final = msgspec.msgpack.Encoder().encode
decode_kept: Final = msgspec.msgpack.Decoder(Kept).decode
decode_tally: Final = msgspec.msgpack.Decoder(Tally).decode


def add(counts: dict[int, int], more: Mapping[int, int]) -> None:
    """Add a histogram to another."""
    for of_slot, count in more.items():
        counts[of_slot] = counts.get(of_slot, 0) + count


def totals(parts: Iterable[Kept | Tally]) -> dict[Stretch, Kept]:
    """The sum of the tallies of each stretch."""
    sums: dict[Stretch, Kept] = {}
    for part in parts:
        stretch = (part.resolution.value, to_micros(part.at))
        whole = sums.get(stretch)
        if whole is None:
            whole = sums[stretch] = empty(*stretch, "", "")
        whole.add(part)
    return sums


def empty(resolution: str, at: int, queue: str, task_type: str) -> Kept:
    """A tally that counts nothing yet."""
    return Kept(
        resolution=Resolution(resolution), at=from_micros(at), queue=queue, task_type=task_type
    )
