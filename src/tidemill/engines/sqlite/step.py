"""One step of the engine: what a transaction has decided and not yet written.

Verbs read rows, decide, and call `move`, `end` and `insert`; `flush` writes all of it in a few
statements. Whoever reads rows by anything but their key flushes first.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import msgspec

from tidemill.clock import to_micros
from tidemill.engines.sqlite.ends import Ends
from tidemill.engines.sqlite.feedbook import CODE_OF, FEED_LENGTH
from tidemill.engines.sqlite.ledger import Ledger, Queue
from tidemill.engines.sqlite.rows import (
    INLINE_PAYLOAD,
    PENDING,
    RUNNING,
    Past,
    Row,
    attempt_of,
    extra_of,
    pack,
)
from tidemill.engines.sqlite.statements import one, run, statement
from tidemill.task import Attempt, NewTask, Progress, TaskError

_rows = msgspec.json.Decoder(list[Row]).decode
_row = msgspec.json.Decoder(Row).decode
_keys = msgspec.json.Decoder(list[str]).decode
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
        self._rows: dict[str, Row] = {}
        self._changed: dict[int, bool] = {}  # seq: whether all columns are written
        self._by_seq: dict[int, Row] = {}
        self._inserted: list[NewRow] = []
        self._restored: list[NewRow] = []
        self._bodies: list[tuple[int, bytes]] = []
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
            self.flush()
            for text in run(self.on, "load", missing):
                self.adopt(_rows(text))

    def row(self, key: str) -> Row | None:
        """A row that was loaded, as this step has changed it."""
        return self._rows.get(key)

    def adopt(self, rows: Iterable[Row]) -> list[Row]:
        """Take rows in that a statement has read; answers them as this step has changed them."""
        return [self._rows.setdefault(row.key, row) for row in rows]

    def select(self, name: str, *values: Any) -> list[Row]:
        """The rows that a statement selects."""
        self.flush()
        return self.adopt(_rows(one(self.on, name, values)))

    def select_one(self, name: str, *values: Any) -> Row | None:
        """The row that a statement selects, if any."""
        self.flush()
        text = one(self.on, name, values)
        return None if text is None else self.adopt([_row(text)])[0]

    def known(self, keys: Sequence[str]) -> set[str]:
        """Which of these keys name a task that exists."""
        if self._inserted or self._restored:
            self.flush()
        found: set[str] = set()
        for text in run(self.on, "known", [(bytes.fromhex(key),) for key in keys]):
            found.update(_keys(text))
        return found

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
        past: Past | None = None,
    ) -> int:
        """Add a task in its first state, or as it is restored with its past; answers its seq."""
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
        if past is None:
            self._inserted.append(columns)
            ledger.add((queue, kind, state, 0), 1)
            self._feed.append((_ENQUEUED, raw, kind, queue, state, 0))
        else:
            self._restored.append((*columns, *msgspec.structs.astuple(past)[2:]))
            ledger.add((queue, kind, state, past.alone if state == PENDING else 0), 1)
            self._feed.append((_RESTORED, raw, kind, queue, state, past.attempt))
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
        if state == PENDING:
            self.ready.add(self.ledger.queue_of[row.queue].name)
        self.write(moved)
        self.tell(moved, cause)
        return moved

    def write(self, row: Row, *, whole: bool = False) -> Row:
        """Have a changed row written. `whole`: also its error, result and what goes with them."""
        self._rows[row.key] = self._by_seq[row.seq] = row
        self._changed[row.seq] = whole or self._changed.get(row.seq, False)
        return row

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
            some = [_some(self._by_seq[seq]) for seq, whole in self._changed.items() if not whole]
            every = [_every(self._by_seq[seq]) for seq, whole in self._changed.items() if whole]
            self._changed.clear()
            self._by_seq.clear()
            if some:
                run(on, "save", some)
            if every:
                run(on, "save_whole", every)

    def write_tasks(self) -> None:
        """Write the tasks that changed with all that was reported about them."""
        self.flush()
        on = self.on
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
        self._rows.clear()

    def end(self) -> None:
        """Write everything that is left: the last thing before a commit."""
        self.write_tasks()
        self.write_history()
        if self._feed:
            self._write_feed()
        self.ledger.flush(self.on)
        self._rows.clear()

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


def _some(row: Row) -> NewRow:
    return (
        row.seq,
        row.state,
        row.due,
        row.lease_end,
        row.attempt,
        row.cancelling,
        row.awaited,
        row.blocked_on,
        row.reason,
    )


def _every(row: Row) -> NewRow:
    return (
        *_some(row),
        row.alone,
        row.crashes,
        row.attempt_limit,
        row.claim_kept,
        row.worker,
        row.started_at,
        row.finished_at,
        row.prune_at,
        row.error,
        row.fingerprint,
        row.result,
    )
