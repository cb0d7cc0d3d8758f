"""One step of the engine: what a transaction has decided and not yet written.

Verbs read rows, decide, and call `move`, `end` and `insert`; `flush` writes all of it in a few
statements. Whoever reads rows by anything but their key flushes first.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import apsw
import msgspec

from tidemill.clock import to_micros
from tidemill.engines.sqlite.ends import Ends
from tidemill.engines.sqlite.feedbook import CODE_OF, FEED_LENGTH
from tidemill.engines.sqlite.ledger import Ledger
from tidemill.engines.sqlite.limits import Limits, Place
from tidemill.engines.sqlite.queues import Queue
from tidemill.engines.sqlite.rows import (
    INLINE_PAYLOAD,
    PENDING,
    RUNNING,
    Past,
    Row,
    after_from,
    all_columns,
    attempt_of,
    extra_of,
    pack,
    some_columns,
)
from tidemill.engines.sqlite.statements import one, run, statement
from tidemill.engines.sqlite.waits import Wait, Waits
from tidemill.task import After, Attempt, NewTask, Progress, TaskError

_rows = msgspec.json.Decoder(list[Row]).decode
_states = msgspec.json.Decoder(list[tuple[str, int]]).decode
_replace = msgspec.structs.replace

NewRow = tuple[Any, ...]
FeedEntry = tuple[Any, ...]


class Step:
    """The work of one transaction over one connection. `now` is the same for all of it."""

    def __init__(self, on: apsw.Connection, ledger: Ledger, clock_now: int) -> None:
        self.on = on
        self.ledger = ledger
        self.now = max(clock_now, ledger.at)
        self.ready: set[str] = set()
        self.told = False
        self.ends = Ends()
        self.ended: deque[tuple[str, int]] = deque()
        self.limits = Limits()
        self.waits = Waits(on)
        self._rows: dict[str, Row] = {}
        self._changed: dict[int, bool] = {}  # seq: whether all columns are written
        self._by_seq: dict[int, Row] = {}
        self._inserted: list[NewRow] = []
        self._restored: list[NewRow] = []
        self._bodies: list[tuple[int, bytes]] = []
        self._afters: list[tuple[int, bytes]] = []
        self._tags: list[tuple[str, bytes]] = []
        self._feed: list[FeedEntry] = []
        self._attempts: list[tuple[int, bytes]] = []
        self._logs: list[tuple[int, bytes]] = []
        self._progress: dict[int, bytes] = {}

    # reading

    def load(self, keys: Iterable[str]) -> None:
        """Read rows by key, so that `row` finds them."""
        missing = [(bytes.fromhex(key),) for key in keys if key not in self._rows]
        if missing:
            if self._inserted or self._restored or self.waits.unflagged:
                self.flush()
            for text in run(self.on, "load", missing):
                self.adopt(_rows(text))

    def row(self, key: str) -> Row | None:
        """A row that was loaded, as this step has changed it."""
        return self._rows.get(key)

    def adopt(self, rows: Iterable[Row]) -> list[Row]:
        """Take rows in that a statement has read; answers them as this step has changed them."""
        adopted = [self._rows.setdefault(row.key, row) for row in rows]
        self.waits.met += [row.key for row in adopted if row.awaited]
        return adopted

    def select(self, name: str, *values: Any) -> list[Row]:
        """The rows that a statement selects."""
        self.flush()
        return self.adopt(_rows(one(self.on, name, values)))

    def known(self, keys: Sequence[str]) -> dict[str, int]:
        """The states of the tasks that exist of those that these keys name."""
        if self._inserted or self._restored:
            self.flush()
        found: dict[str, int] = {}
        for text in run(self.on, "known", [(bytes.fromhex(key),) for key in keys]):
            found.update(_states(text))
        for key in found.keys() & self._rows.keys():
            found[key] = self._rows[key].state
        return found

    def after(self, row: Row) -> After | None:
        """What a task comes after."""
        if self._afters:
            self.write_tasks()
        body = one(self.on, "after", (row.seq,))
        return None if body is None else after_from(body)

    def slots_taken(self, place: Place) -> int:
        """How many tasks of a limit are pending or running."""
        if self.limits.taken(place) is None:
            self.limits.count(self.on, {place, *self._places()})
        return self.limits.taken(place) or 0

    def next_in_line(self, place: Place) -> Row | None:
        """The task that is the first of those blocked at a limit."""
        if not self.limits.knows_next(place):
            self.flush()
            self.adopt(self.limits.read_lines(self.on, {place: 1, **self._places()}))
        key = self.limits.next(place)
        return None if key is None else self._rows[key]

    def _places(self) -> Counter[Place]:
        """The limits of the tasks at hand, and how many of them each has."""
        return Counter(
            (row.queue, row.limit_key) for row in self._rows.values() if row.limit_key is not None
        )

    def queue(self, name: str) -> Queue:
        """A queue by name; it exists once it is named."""
        return self.ledger.queues.get(name) or self.ledger.queue(self.on, name)

    # deciding

    def insert(
        self,
        task: NewTask,
        key: str,
        state: int,
        due: int,
        blocked_on: str | None = None,
        *,
        awaited: bool = False,
        told: bool = True,
        past: Past | None = None,
    ) -> int:
        """Add a task in its first state, or as it is restored with its past; answers its seq.

        One that is not `told` of to the feed is about to move on, which the feed will tell.
        """
        ledger = self.ledger
        queue = self.queue(task.queue).code
        kind = ledger.types.get(task.task_type) or ledger.type(self.on, task.task_type)
        if past is None:
            seq = ledger.next_seq
            ledger.next_seq = seq + 1
        else:
            seq = ledger.next_restored
            ledger.next_restored = seq - 1
        payload: bytes | None = task.payload
        if len(task.payload) > INLINE_PAYLOAD:
            self._bodies.append((seq, task.payload))
            payload = None
        raw = bytes.fromhex(key)
        limit = task.limit
        columns = (
            seq,
            raw,
            queue,
            kind,
            state,
            task.priority,
            due,
            self.now if past is None else past.enqueued_at,
            task.max_attempts if past is None else past.attempt_limit,
            task.max_attempts,
            None if task.expires_at is None else to_micros(task.expires_at),
            blocked_on,
            awaited,
            None if task.unique is None else task.unique.key,
            None if limit is None else limit.key,
            None if limit is None else limit.at_most,
            task.user_id,
            task.project_id,
            task.parent_id,
            extra_of(task),
            payload,
        )
        if task.tags:
            self._tags += [(tag, raw) for tag in task.tags]
        if task.after is not None:
            self._afters.append((seq, pack(task.after)))
        if awaited:
            self.waits.flagged.add(key)
        if limit is not None:
            self.limits.entered((queue, limit.key), state, blocked_on)
        if past is None:
            self._inserted.append(columns)
            ledger.add((queue, kind, state, 0), 1)
            entry = (_ENQUEUED, raw, kind, queue, state, 0)
        else:
            self._restored.append((*columns, *msgspec.structs.astuple(past)[2:]))
            ledger.add((queue, kind, state, past.alone if state == PENDING else 0), 1)
            entry = (_RESTORED, raw, kind, queue, state, past.attempt)
        if told:
            self._feed.append(entry)
        if state == PENDING:
            self.ready.add(task.queue)
        return seq

    def move(self, row: Row, cause: str, state: int, **changes: Any) -> Row:
        """Change a row's state, and whatever else, and tell the feed."""
        if state != RUNNING:
            changes["lease_end"] = None
        moved = _replace(row, state=state, **changes)
        self.ledger.add((row.queue, row.type, row.state, _lane(row)), -1)
        self.ledger.add((row.queue, row.type, state, _lane(moved)), 1)
        if row.limit_key is not None:
            place = (row.queue, row.limit_key)
            self.limits.left(place, row.key, row.state, row.blocked_on)
            self.limits.entered(place, state, moved.blocked_on)
        limited = self.ledger.limited
        if state == PENDING or (limited and row.state == RUNNING and row.queue in limited):
            self.ready.add(self.ledger.queue_of[row.queue].name)
        self.write(moved)
        self.tell(moved, cause)
        return moved

    def write(self, row: Row, *, whole: bool = False) -> Row:
        """Have a changed row written. `whole`: also its error, result and what goes with them."""
        self._rows[row.key] = self._by_seq[row.seq] = row
        self._changed[row.seq] = whole or self._changed.get(row.seq, False)
        return row

    def wait_for(self, wait: Wait, live: Collection[str]) -> None:
        """Let a task wait for live ones; the caller blocks it."""
        for key in live:
            row = self._rows.get(key)
            if row is not None:
                self.waits.flagged.add(key)
                self.write(_replace(row, awaited=1))
        self.waits.add(wait, live)

    def tell(self, row: Row, cause: str, progress: Progress | None = None) -> None:
        """Write one transition into the feed."""
        entry = (
            CODE_OF[cause],
            bytes.fromhex(row.key),
            row.type,
            row.queue,
            row.state,
            row.attempt,
        )
        self._feed.append(entry if progress is None else (*entry, progress))

    def tell_claimed(self, entries: list[FeedEntry]) -> None:
        """Write the transitions of a claim into the feed."""
        self._feed += entries

    def ended_attempt(self, row: Row, outcome: str, error: TaskError | None) -> None:
        """Put a row's present attempt, ended now, into its history."""
        attempt = attempt_of(row, self.worker_name(row.worker), self.now, outcome, error)
        self.add_attempt(row.seq, attempt)

    def add_attempt(self, seq: int, attempt: Attempt) -> None:
        """Put an attempt into a task's history."""
        self._attempts.append((seq, pack(attempt)))

    def report(self, seq: int, progress: Progress | None, logs: Sequence[Any]) -> None:
        """Keep what a task's attempt reported."""
        if progress is not None:
            self._progress[seq] = pack(progress)
        if logs:
            self._logs += [(seq, pack(line)) for line in logs]

    def worker_name(self, code: int | None) -> str:
        """A worker by its code."""
        if code is None:
            return ""
        names = msgspec.json.decode(one(self.on, "worker_names", (f"[{code}]",)))
        return str(names.get(str(code), ""))

    def drop(self, row: Row) -> None:
        """Tell of a task that is removed; its rows are the caller's to delete."""
        self.ledger.add((row.queue, row.type, row.state, _lane(row)), -1)
        self._rows.pop(row.key, None)
        self.tell(row, "removed")

    # writing

    def flush(self) -> None:
        """Write the rows that changed, so that statements see them."""
        on = self.on
        if self._inserted or self._restored:
            run(on, "insert", self._inserted)
            self._inserted.clear()
            run(on, "restore", self._restored)
            self._restored.clear()
            if self._tags:
                run(on, "insert_tag", self._tags)
                self._tags.clear()
            for body in self._bodies:
                on.execute(statement("body_put"), body)
            self._bodies.clear()
        if self._changed:
            some = [
                some_columns(self._by_seq[seq]) for seq, whole in self._changed.items() if not whole
            ]
            every = [
                all_columns(self._by_seq[seq]) for seq, whole in self._changed.items() if whole
            ]
            self._changed.clear()
            self._by_seq.clear()
            if some:
                run(on, "save", some)
            if every:
                run(on, "save_whole", every)
        self.waits.flag()
        self.limits.written()

    def write_tasks(self) -> None:
        """Write the tasks that changed with all that was reported about them."""
        self.flush()
        self.waits.write()
        on = self.on
        if self._afters:
            run(on, "after_add", self._afters)
            self._afters.clear()
        if self._attempts:
            run(on, "attempt_add", self._attempts)
            self._attempts.clear()
        if self._logs:
            run(on, "log_add", self._logs)
            self._logs.clear()
        if self._progress:
            run(on, "progress_put", list(self._progress.items()))
            self._progress.clear()

    def write_history(self) -> None:
        """Write what ended so far into the history."""
        if self.ends:
            ledger = self.ledger
            named = {
                (ledger.queue_of[queue].name, ledger.type_names[kind]): ended
                for (queue, kind), ended in self.ends.take(self.now).items()
            }
            ledger.tallies.add(self.on, self.now, named)

    def end_call(self) -> None:
        """Leave nothing remembered to the next call in the same transaction."""
        self.flush()
        self.waits.write()
        self._forget()

    def end(self) -> None:
        """Write everything that is left: the last thing before a commit."""
        self.write_tasks()
        self.write_history()
        if self._feed:
            self._write_feed()
        if self.ledger.limited:
            self.ready -= self.ledger.nothing_starts(self.on, self.ready, self.now)
        self.ledger.flush(self.on)
        self._forget()

    def _forget(self) -> None:
        self._rows.clear()
        self.waits.forget()
        self.limits.forget_lines()

    def _write_feed(self) -> None:
        ledger, count = self.ledger, len(self._feed)
        self.on.execute(statement("feed_append"), (ledger.fed, count, self.now, pack(self._feed)))
        before, ledger.fed = ledger.fed, ledger.fed + count
        ledger.at = self.now
        self._feed.clear()
        self.told = True
        if before // _CUT_EVERY != ledger.fed // _CUT_EVERY:
            self.on.execute(statement("feed_cut"), (ledger.fed - FEED_LENGTH,))


_CUT_EVERY = 5_000
_ENQUEUED, _RESTORED = CODE_OF["enqueued"], CODE_OF["restored"]


def _lane(row: Row) -> int:
    return row.alone if row.state == PENDING else 0
