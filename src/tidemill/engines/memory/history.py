"""What ended when: one tally for each stretch of time, queue and task type."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from tidemill.clock import from_micros, micros, to_micros
from tidemill.engine import COUNTED, HistoryQuery, Resolution, Tally
from tidemill.engines.memory.record import Record
from tidemill.histogram import slot

Place = tuple[Resolution, int, str, str]


class History:
    """The tallies of all resolutions, each counted when something ends."""

    def __init__(self) -> None:
        self._tallies: dict[Place, dict[str, Any]] = {}

    def count(self, record: Record, what: str, now: int, *, timed: bool) -> None:
        """Count one task or attempt that ended now; `timed` with the times of its attempt."""
        new = record.new
        for resolution in Resolution:
            at = now - now % micros(resolution.length)
            place = (resolution, at, new.queue, new.task_type)
            tally = self._tallies.setdefault(place, {"runs": {}, "waits": {}})
            tally[what] = tally.get(what, 0) + 1
            if timed and record.started is not None:
                _time(tally, "ran", "runs", now - record.started)
                _time(tally, "waited", "waits", max(0, record.started - record.due))

    def read(self, query: HistoryQuery) -> list[Tally]:
        """The tallies that a query asks for, in order."""
        found = self._found(query)
        return _together(found) if query.together else found

    def _found(self, query: HistoryQuery) -> list[Tally]:
        since, until = to_micros(query.since), to_micros(query.until)
        return [
            Tally(
                resolution=resolution,
                at=from_micros(at),
                queue=queue,
                task_type=task_type,
                **tally | {name: dict(tally[name]) for name in ("runs", "waits")},
            )
            for (resolution, at, queue, task_type), tally in sorted(self._tallies.items())
            if resolution is query.resolution
            and since <= at < until
            and (not query.queues or queue in query.queues)
            and (not query.task_types or task_type in query.task_types)
        ]

    def take_in(self, tallies: Iterable[Tally]) -> None:
        """Keep tallies of which there is none yet."""
        for tally in tallies:
            place = (tally.resolution, to_micros(tally.at), tally.queue, tally.task_type)
            fields = msgspec.structs.asdict(tally)
            for name in ("at", "resolution", "queue", "task_type"):
                del fields[name]
            self._tallies.setdefault(
                place, fields | {"runs": dict(tally.runs), "waits": dict(tally.waits)}
            )

    def forget(self, now: int) -> None:
        """Drop what is older than its resolution is kept."""
        over = [
            place
            for place in self._tallies
            if (kept := place[0].kept) is not None and place[1] < now - micros(kept)
        ]
        for place in over:
            del self._tallies[place]


def _time(tally: dict[str, Any], total: str, histogram: str, duration: int) -> None:
    tally[total] = tally.get(total, 0) + duration
    counts = tally[histogram]
    of_slot = slot(duration)
    counts[of_slot] = counts.get(of_slot, 0) + 1


def _together(tallies: Iterable[Tally]) -> list[Tally]:
    """One tally for each stretch."""
    sums: dict[datetime, dict[str, Any]] = {}
    for tally in tallies:
        whole = sums.setdefault(
            tally.at, {"resolution": tally.resolution, "at": tally.at, "runs": {}, "waits": {}}
        )
        for name in COUNTED:
            whole[name] = whole.get(name, 0) + getattr(tally, name)
        for name in ("runs", "waits"):
            for of_slot, number in getattr(tally, name).items():
                whole[name][of_slot] = whole[name].get(of_slot, 0) + number
    return [Tally(queue="", task_type="", **whole) for whole in sums.values()]
