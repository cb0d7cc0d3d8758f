"""What the writer remembers of the small tables between its transactions.

Names, queue settings, counts, the tallies of now, the ends of the feed and of the task table.
Exact while nobody else wrote, which `data_version` tells; otherwise read again.
"""

from collections.abc import Collection
from typing import Any

import apsw
import msgspec

from tidemill.engine import QueueDefinition
from tidemill.engines.sqlite.history import Tallies
from tidemill.engines.sqlite.queues import Queue
from tidemill.engines.sqlite.rows import PENDING, RUNNING
from tidemill.engines.sqlite.statements import one, run, statement


class _Ends(msgspec.Struct):
    next_seq: int
    next_restored: int
    fed: int | None
    at: int | None
    queues: list[Queue]
    types: list[tuple[int, str]]


_ends = msgspec.json.Decoder(_Ends).decode
_counts = msgspec.json.Decoder(list[tuple[int, int, int, int, int]]).decode

Lane = tuple[int, int, int, int]
"""(queue, type, state, alone): what tasks are counted by."""


class Ledger:
    """The small tables, as the transaction that is open sees them. One per connection."""

    def __init__(self) -> None:
        self._version: int | None = None
        self.next_seq = 1
        self.next_restored = -1
        self.tallies = Tallies()
        self.fed = 0
        self.at = 0
        self.queues: dict[str, Queue] = {}
        self.queue_of: dict[int, Queue] = {}
        self.limited: frozenset[int] = frozenset()
        self.types: dict[str, int] = {}
        self.type_names: dict[int, str] = {}
        self.workers: dict[str, int] = {}
        self._counts: dict[Lane, int] | None = None
        self._added: dict[Lane, int] = {}
        self._changed_queues: dict[int, Queue] = {}

    def catch_up(self, on: apsw.Connection) -> None:
        """Make sure of what is remembered. Call it when a write transaction has begun."""
        if self._version is not None and self._version == on.data_version():
            return
        ends = _ends(one(on, "ledger"))
        self.next_seq, self.next_restored = ends.next_seq, ends.next_restored
        self.fed, self.at = ends.fed or 0, ends.at or 0
        self.queues = {queue.name: queue for queue in ends.queues}
        self.queue_of = {queue.code: queue for queue in ends.queues}
        self._find_limited()
        self.type_names = dict(ends.types)
        self.types = {name: code for code, name in ends.types}
        self._counts = None
        self.tallies.forget()

    def keep(self, on: apsw.Connection) -> None:
        """Remember everything until somebody else writes. Call it after a commit."""
        self._version = on.data_version()

    def forget(self) -> None:
        """Trust nothing: the transaction was rolled back."""
        self._version = None
        self.tallies.roll_back()
        self.workers.clear()
        self._added.clear()
        self._changed_queues.clear()

    # names

    def queue(self, on: apsw.Connection, name: str) -> Queue:
        """A queue by name; it exists once it is named."""
        found = self.queues.get(name)
        if found is None:
            found = Queue(max(self.queue_of, default=0) + 1, name)
            self.queues[name] = self.queue_of[found.code] = found
            on.execute(statement("queue_save"), _columns(found))
        return found

    def type(self, on: apsw.Connection, name: str) -> int:
        """The code of a task type."""
        code = self.types.get(name)
        if code is None:
            code = max(self.type_names, default=0) + 1
            on.execute(statement("type_add"), (code, name))
            self.types[name], self.type_names[code] = code, name
        return code

    def worker(self, on: apsw.Connection, name: str) -> int:
        """The code of a worker."""
        code = self.workers.get(name)
        if code is None:
            code = int(one(on, "worker_code", (name,)))
            self.workers[name] = code
        return code

    def change(self, queue: Queue) -> None:
        """Keep a queue's changed fields with this transaction."""
        self._changed_queues[queue.code] = queue

    def define(self, queue: Queue, definition: QueueDefinition) -> None:
        """Change a queue's settings."""
        queue.define(definition)
        self.change(queue)
        self._find_limited()

    def _find_limited(self) -> None:
        limited = (code for code, queue in self.queue_of.items() if queue.limited)
        self.limited = frozenset(limited)

    # counts

    def counts(self, on: apsw.Connection) -> dict[Lane, int]:
        """How many tasks there are by queue, type, state and alone."""
        self._write_counts(on)
        if self._counts is None:
            self._counts = {row[:4]: row[4] for row in _counts(one(on, "counts"))}
        return self._counts

    def count(self, on: apsw.Connection, queue: int, *states: int) -> int:
        """How many tasks of a queue there are in these states."""
        counts = self.counts(on).items()
        return sum(n for lane, n in counts if lane[0] == queue and lane[2] in states)

    def by_queue(self, on: apsw.Connection, state: int) -> dict[int, int]:
        """How many tasks each queue has in a state, by its code."""
        found: dict[int, int] = {}
        for lane, n in self.counts(on).items():
            if lane[2] == state:
                found[lane[0]] = found.get(lane[0], 0) + n
        return found

    def nothing_starts(self, on: apsw.Connection, names: Collection[str], now: int) -> set[str]:
        """Those of these queues with limits in which no task is pending, or none may start now."""
        codes = [self.queues[name].code for name in names if self.queues[name].limited]
        if not codes:
            return set()
        pending, running = self.by_queue(on, PENDING), self.by_queue(on, RUNNING)
        return {
            self.queue_of[code].name
            for code in codes
            if not pending.get(code)
            or self.queue_of[code].opens_in(running.get(code, 0), 0, now) is None
        }

    def add(self, lane: Lane, n: int) -> None:
        """Count tasks that came or went."""
        self._added[lane] = self._added.get(lane, 0) + n

    def _write_counts(self, on: apsw.Connection) -> None:
        added = [(*lane, n) for lane, n in self._added.items() if n]
        self._added.clear()
        if not added:
            return
        run(on, "count_add", added)
        if self._counts is not None:
            for *lane, n in added:
                place = (lane[0], lane[1], lane[2], lane[3])
                self._counts[place] = self._counts.get(place, 0) + n

    def flush(self, on: apsw.Connection) -> None:
        """Write what changed since the last time."""
        self._write_counts(on)
        for queue in self._changed_queues.values():
            on.execute(statement("queue_save"), _columns(queue))
        self._changed_queues.clear()


def _columns(queue: Queue) -> tuple[Any, ...]:
    return msgspec.structs.astuple(queue)
