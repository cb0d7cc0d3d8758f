"""The memory engine's books: every task with its state, and what hangs on a change of state.

Only here do states change. The verbs in `verbs.py` decide; these methods carry out one step
with all that belongs to it: the feed, unique keys, limit slots, waiting parents.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

from tidemill.clock import Clock, from_micros, micros
from tidemill.engine import Document, QueueDefinition, Transition
from tidemill.engines.memory.history import History
from tidemill.engines.memory.marks import Timetable
from tidemill.engines.memory.record import Record
from tidemill.task import Progress, State, TaskError, UniqueKey

FEED_LENGTH = 100_000
_OCCUPYING = (State.PENDING, State.RUNNING)
_TIMED = ("completed", "failed")
"""Causes of an end whose attempt's times are counted: a worker settled it so."""


class Queue:
    """A queue's definition and its place in the rotation."""

    def __init__(self, name: str) -> None:
        self.definition = QueueDefinition(name)
        self.paused = False
        self.passed = 0


class Books:
    """All that the engine knows. Not thread-safe: the engine holds a lock around each verb."""

    def __init__(self, clock: Clock, ordered: Literal["task", "lane"] = "task") -> None:
        self._clock = clock
        self._seen = 0
        self.ordered = ordered
        self.arrivals = 0
        self.records: dict[str, Record] = {}
        self.by_state: dict[State, dict[str, Record]] = {state: {} for state in State}
        self.queues: dict[str, Queue] = {}
        self.rotated = 0
        self.claims: dict[str, int] = {}
        self.keys: dict[tuple[str, str], tuple[str, int | None]] = {}
        self.waits: dict[str, set[str]] = {}
        self.timetables: dict[str, Timetable] = {}
        self.history = History()
        self.documents: dict[tuple[str, str], Document] = {}
        self.feed: deque[Transition] = deque(maxlen=FEED_LENGTH)
        self.fed = 0

    def now(self) -> int:
        """The engine's time, which never steps back."""
        self._seen = max(self._seen, self._clock.now())
        return self._seen

    def queue(self, name: str) -> Queue:
        """A queue by name; it exists once it is named."""
        if name not in self.queues:
            self.queues[name] = Queue(name)
        return self.queues[name]

    def place(self, record: Record) -> tuple[int, int, int, str]:
        """Where a record stands in claim order."""
        return record.place_in_lane if self.ordered == "lane" else record.place

    # one step

    def tell(self, record: Record, cause: str, now: int, progress: Progress | None = None) -> None:
        """Write one transition into the feed."""
        new = record.new
        self.fed += 1
        self.feed.append(
            Transition(
                at=from_micros(now),
                cause=cause,
                task_id=new.id,
                task_type=new.task_type,
                queue=new.queue,
                state=record.state,
                attempt=record.attempt,
                progress=progress,
            )
        )

    def enter(self, record: Record, state: State, cause: str, now: int) -> None:
        """Move a record to a state and tell the feed; a slot that it leaves goes to the next."""
        occupied = record.state in _OCCUPYING and record.new.id in self.by_state[record.state]
        self.by_state[record.state].pop(record.new.id, None)
        record.state = state
        self.by_state[state][record.new.id] = record
        if state is State.PENDING:
            self.arrivals += 1
            record.arrived = self.arrivals
        if state is not State.BLOCKED:
            record.blocked_on = None
        if state is not State.RUNNING:
            record.lease_end = None
        self.tell(record, cause, now)
        if occupied and state not in _OCCUPYING:
            self.admit_next(record, now)

    def admit(self, record: Record, cause: str, now: int) -> None:
        """Let a due task in, or block it at its limit."""
        if self._fits(record):
            self.enter(record, State.PENDING, cause, now)
        else:
            self.block(record, "limit", cause, now)

    def block(self, record: Record, on: str, cause: str, now: int) -> None:
        """Put a task aside until its limit or its children let it go on."""
        record.blocked_on = on
        self.enter(record, State.BLOCKED, cause, now)

    def schedule_or_admit(self, record: Record, cause: str, now: int) -> None:
        """Wait for the due instant if it is ahead, else ask for admission."""
        if record.due > now:
            self.enter(record, State.SCHEDULED, cause, now)
        else:
            self.admit(record, cause, now)

    def admit_next(self, left: Record, now: int) -> None:
        """Admit blocked tasks of the limit key whose slot was left, until one does not fit."""
        limit = left.new.limit
        if limit is None:
            return
        line = sorted(
            (
                record
                for record in self.by_state[State.BLOCKED].values()
                if record.blocked_on == "limit" and _same_limit(record, left)
            ),
            key=lambda record: record.place,
        )
        for record in line:
            if not self._fits(record):
                return
            self.enter(record, State.PENDING, "admitted", now)

    def _fits(self, record: Record) -> bool:
        limit = record.new.limit
        if limit is None:
            return True
        others = sum(
            1
            for state in _OCCUPYING
            for other in self.by_state[state].values()
            if other is not record and _same_limit(other, record)
        )
        return others < limit.at_most

    def end(
        self,
        record: Record,
        state: State,
        now: int,
        *,
        cause: str,
        result: bytes | None = None,
        error: TaskError | None = None,
        reason: str | None = None,
    ) -> None:
        """End a task: record how, free its key, then let parents that wait go on."""
        record.result, record.error, record.reason = result, error, reason
        record.finished = now
        self.history.count(record, state.value, now, timed=cause in _TIMED)
        kept = record.new.retention.of(state)
        record.prune = None if kept is None else now + micros(kept)
        self.free_key(record, "start", "end")
        self.waits.pop(record.new.id, None)
        self.enter(record, state, cause, now)
        self.tell_parents(record.new.id, now)

    def tell_parents(self, child: str, now: int) -> None:
        """Let parents go on that waited for this child last."""
        for parent in sorted(self.waits):
            children = self.waits[parent]
            children.discard(child)
            if not children:
                del self.waits[parent]
                self.admit(self.records[parent], "children_final", now)

    # unique keys

    def holder(self, queue: str, key: str, now: int) -> Record | None:
        """The task that holds a key now."""
        held = self.keys.get((queue, key))
        if held is None:
            return None
        task_id, until = held
        if task_id not in self.records or (until is not None and until <= now):
            del self.keys[queue, key]
            return None
        return self.records[task_id]

    def hold_key(self, record: Record, unique: UniqueKey, now: int) -> None:
        """Give a task its key."""
        until = now + micros(unique.lasting) if unique.lasting is not None else None
        self.keys[record.new.queue, unique.key] = (record.new.id, until)

    def free_key(self, record: Record, *at: str) -> None:
        """Free a task's key if it holds it until its `start` or `end`."""
        unique = record.new.unique
        if unique is not None and unique.lasting is None and unique.until in at:
            place = (record.new.queue, unique.key)
            if self.keys.get(place, ("", None))[0] == record.new.id:
                del self.keys[place]

    # removal

    def remove(self, records: Iterable[Record], now: int) -> None:
        """Forget final tasks and all that belongs to them."""
        for record in records:
            task_id = record.new.id
            del self.records[task_id]
            del self.by_state[record.state][task_id]
            unique = record.new.unique
            if unique is not None:
                place = (record.new.queue, unique.key)
                if self.keys.get(place, ("", None))[0] == task_id:
                    del self.keys[place]
            self.tell(record, "removed", now)


def _same_limit(one: Record, other: Record) -> bool:
    return (
        one.new.limit is not None
        and other.new.limit is not None
        and one.new.queue == other.new.queue
        and one.new.limit.key == other.new.limit.key
    )
