"""The keyed limits that one step meets: how full they are, and who is next in line (rule 14).

Counted and read once for a step, of all limits at once; then kept up by what the step does. 10,000
taken slots or 100,000 blocked tasks of a key cost a step what its own tasks need.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

import apsw
import msgspec

from tidemill.engines.sqlite.rows import PENDING, RUNNING, Row
from tidemill.engines.sqlite.statements import run

Place = tuple[int, str]
"""(queue, limit key)"""

IN_LINE: Final = "limit"
"""What a task is blocked on that waits for a slot."""

_OCCUPYING = (PENDING, RUNNING)
_slots = msgspec.json.Decoder(list[tuple[int, str, int]]).decode
_lines = msgspec.json.Decoder(list[tuple[int, str, list[Row]]]).decode


def occupies(state: int) -> bool:
    """Whether a task in this state takes a slot of its limit."""
    return state in _OCCUPYING


class _Line(msgspec.Struct):
    """The first tasks that are blocked at a limit; `whole`: there are no others."""

    keys: deque[str]
    whole: bool


class Limits:
    """The limits as a step sees them."""

    def __init__(self) -> None:
        self._taken: dict[Place, int] = {}
        self._unwritten: dict[Place, int] = {}
        self._lines: dict[Place, _Line] = {}

    def taken(self, place: Place) -> int | None:
        """How many slots are taken, None before it was counted."""
        return self._taken.get(place)

    def count(self, on: apsw.Connection, places: Iterable[Place]) -> None:
        """Count taken slots, where they are not counted yet."""
        unknown = [place for place in places if place not in self._taken]
        for text in run(on, "slots", unknown):
            for queue, key, count in _slots(text):
                self._taken[queue, key] = count + self._unwritten.get((queue, key), 0)

    def left(self, place: Place, key: str, state: int, blocked_on: str | None) -> None:
        """A task of this limit leaves a state."""
        if occupies(state):
            self._change(place, -1)
        if blocked_on == IN_LINE and place in self._lines:
            keys = self._lines[place].keys
            if keys and keys[0] == key:
                keys.popleft()
            else:
                del self._lines[place]

    def entered(self, place: Place, state: int, blocked_on: str | None) -> None:
        """A task of this limit enters a state."""
        if occupies(state):
            self._change(place, 1)
        if blocked_on == IN_LINE:
            self._lines.pop(place, None)

    def _change(self, place: Place, by: int) -> None:
        self._unwritten[place] = self._unwritten.get(place, 0) + by
        if place in self._taken:
            self._taken[place] += by

    def written(self) -> None:
        """All moves so far are in the file."""
        self._unwritten.clear()

    def knows_next(self, place: Place) -> bool:
        """Whether `next` can tell without reading."""
        line = self._lines.get(place)
        return line is not None and (line.whole or bool(line.keys))

    def next(self, place: Place) -> str | None:
        """The key of the task that is first in line."""
        keys = self._lines[place].keys
        return keys[0] if keys else None

    def read_lines(self, on: apsw.Connection, most: Mapping[Place, int]) -> list[Row]:
        """Read the first tasks in line, at least so many of each place, where they are unknown."""
        asked: dict[int, list[Place]] = {}
        for place, count in most.items():
            if not self.knows_next(place):
                asked.setdefault(1 << count.bit_length(), []).append(place)
        found = []
        for count, places in asked.items():
            for text in run(on, "line", places, count):
                for queue, key, rows in _lines(text):
                    keys = deque(row.key for row in rows)
                    self._lines[queue, key] = _Line(keys, whole=len(keys) < count)
                    found += rows
        return found

    def forget_lines(self) -> None:
        """Their tasks are no longer at hand."""
        self._lines.clear()
