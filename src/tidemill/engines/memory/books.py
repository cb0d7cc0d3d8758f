"""The memory engine's books: every task with its state, and what hangs on a change of state.

Only here do states change. The verbs in `verbs.py` decide; these methods carry out one step
with all that belongs to it: the feed, unique keys, limit slots, waiting parents.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

from tidemill.clock import Clock, from_micros, micros
from tidemill.engine import Document, Transition
from tidemill.engines.memory.history import History
from tidemill.engines.memory.marks import Timetable
from tidemill.engines.memory.queues import Queue
from tidemill.engines.memory.record import Breaker, Record
from tidemill.task import Progress, State, TaskError, UniqueKey

FEED_LENGTH = 100_000
_OCCUPYING = (State.PENDING, State.RUNNING)
_TIMED = ("completed", "failed")
"""Causes of an end whose attempt's times are counted: a worker settled it so."""
_BROKE = {State.FAILED: "failed", State.CANCELLED: "was cancelled"}


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
        self._ended: deque[Record] = deque()
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
            record.due = now
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
        self._keep_key(record, state, now)
        self.waits.pop(record.new.id, None)
        self.enter(record, state, cause, now)
        self._ended.append(record)
        if len(self._ended) == 1:
            self._tell_waiting(now)

    # tasks that wait for others

    def wait_for(
        self, record: Record, others: Iterable[str], on: str, cause: str, now: int
    ) -> bool:
        """Block a task on those of the others that are not final; False when all are."""
        live = {
            other
            for other in others
            if other in self.records and not self.records[other].state.final
        }
        if live:
            self.waits[record.new.id] = live
            self.block(record, on, cause, now)
        return bool(live)

    def ask_upstream(self, record: Record, cause: str, now: int) -> None:
        """Let a task on its way, unless it comes after others that are not final yet."""
        after = record.new.after
        if after is None:
            self.schedule_or_admit(record, cause, now)
            return
        others = [name for name in after.tasks if name in self.records and name != record.new.id]
        broke = (self.records[name] for name in others if self.records[name].broke)
        record.broken_by = next((Breaker(each.new.id, each.state) for each in broke), None)
        if not self.wait_for(record, others, "upstream", cause, now):
            self._go_on(record, cause, now)

    def _tell_waiting(self, now: int) -> None:
        """Let go on what waited for an ended task last, and what waits for those that end by it.

        One after the other, not one inside the other: a chain may have thousands of tasks.
        """
        while self._ended:
            ended = self._ended[0]
            for name in sorted(self.waits):
                others, record = self.waits[name], self.records[name]
                if ended.new.id not in others:
                    continue
                others.discard(ended.new.id)
                if ended.broke and record.broken_by is None and record.blocked_on == "upstream":
                    record.broken_by = Breaker(ended.new.id, ended.state)
                if not others:
                    del self.waits[name]
                    if record.blocked_on == "upstream":
                        self._go_on(record, "upstream_final", now)
                    else:
                        self.admit(record, "children_final", now)
            self._ended.popleft()

    def _go_on(self, record: Record, cause: str, now: int) -> None:
        """All upstream tasks are final: run, have nothing to run, or end as they did."""
        after, breaker = record.new.after, record.broken_by
        if after is None or breaker is None or after.on_failure == "continue":
            if after is not None and after.joins:
                self.end(record, State.COMPLETED, now, cause="joined")
            else:
                self.schedule_or_admit(record, cause, now)
            return
        text = f"task {breaker.task_id} {_BROKE[breaker.state]}, and this one comes after it"
        if after.on_failure == "skip":
            self.end(record, State.CANCELLED, now, cause="upstream_broken", reason="skipped")
        elif breaker.state is State.FAILED:
            error = TaskError("UpstreamFailed", text, fingerprint="UpstreamFailed")
            self.end(record, State.FAILED, now, cause="upstream_broken", error=error)
        else:
            self.end(record, State.CANCELLED, now, cause="upstream_broken", reason=text)

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

    def _keep_key(self, record: Record, state: State, now: int) -> None:
        """Free an ended task's key, or keep it for as long as its result is cached."""
        unique = record.new.unique
        if unique is None or unique.cached is None or state is not State.COMPLETED:
            self.free_key(record, "start", "end")
            return
        if self.holder(record.new.queue, unique.key, now) is record:
            self.keys[record.new.queue, unique.key] = (record.new.id, now + micros(unique.cached))

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
