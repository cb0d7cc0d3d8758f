"""What one step ends: collected while it decides, counted once when it is written."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from tidemill.engines.sqlite.rows import Row
from tidemill.histogram import slot

_LONGEST = 1 << 62
_Alike = tuple[int, int, str]
"""(queue, type, what)"""


class Ended:
    """What one step ended of one task type in one queue; the times are microseconds."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.ran: list[int] = []
        self.waited: list[int] = []

    def add(self, what: str, count: int) -> None:
        """Count tasks or attempts that ended alike."""
        self.counts[what] = self.counts.get(what, 0) + count

    def time(self, now: int, rows: Iterable[Row]) -> None:
        """Add the times of attempts that were settled now."""
        for row in rows:
            started = row.started_at or now
            self.ran.append(now - started)
            self.waited.append(started - row.due if started > row.due else 0)


class Ends:
    """What one step has ended and not yet written."""

    def __init__(self) -> None:
        self._counted: defaultdict[_Alike, int] = defaultdict(int)
        self._settled: defaultdict[_Alike, list[Row]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._settled or self._counted)

    def count(self, queue: int, kind: int, what: str) -> None:
        """Count a task or attempt."""
        self._counted[queue, kind, what] += 1

    def settled(self, row: Row, what: str) -> None:
        """Count an attempt with its times; `row` is as it was while it ran."""
        self._settled[row.queue, row.type, what].append(row)

    def take(self, now: int) -> dict[tuple[int, int], Ended]:
        """What there is, by (queue, type), and nothing is left here."""
        taken: defaultdict[tuple[int, int], Ended] = defaultdict(Ended)
        for (queue, kind, what), count in self._counted.items():
            taken[queue, kind].add(what, count)
        for (queue, kind, what), rows in self._settled.items():
            taken[queue, kind].add(what, len(rows))
            taken[queue, kind].time(now, rows)
        self._counted.clear()
        self._settled.clear()
        return taken


def histogram(durations: Iterable[int]) -> dict[int, int]:
    """Durations counted by slot. Many of one step share a slot, so each is worked out once."""
    ordered = sorted(durations)
    found, start = {}, 0
    while start < len(ordered):
        of_slot = slot(ordered[start])
        end = bisect_right(ordered, _longest_in(of_slot), start)
        found[of_slot] = end - start
        start = end
    return found


@cache
def _longest_in(of_slot: int) -> int:
    return bisect_right(range(_LONGEST), of_slot, key=slot) - 1
