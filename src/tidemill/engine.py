"""The seam: what every engine does, and the values that cross it.

An engine holds the tasks and is the only thing that changes them. It speaks in state
transitions, not in rows, keys or bytes of its store. `docs/engine.md` numbers the rules; each
is a test of the conformance suite that `tidemill.testing.check_engine` runs.

Every verb takes many and answers each input in order. An empty batch is allowed and answers
empty. A batch is atomic: all of it is recorded or none of it (an engine may promise less, and
then says so in its `EngineInfo`). Any verb may raise `EngineUnavailable`; nothing is promised
about that batch, and repeating the call is safe.
Time is the engine's own, never the caller's.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

import msgspec

from tidemill.outcome import Settlement
from tidemill.rates import Rate
from tidemill.task import DEFAULT_LEASE, Claim, ClaimRef, LogLine, NewTask, Progress, State, Task


class EngineInfo(msgspec.Struct, frozen=True):
    """What an engine is and what it promises.

    `durability` is `strict`, `standard` or `fast` (docs/guarantees.md). `ordered` is `task` when
    claims follow priority, due time and id, `lane` when they follow priority and then the order
    in which tasks became pending. `atomic` says of what a batch is one step: `batch` of all its
    tasks, `queue` of the tasks of each queue, one queue after another.
    `warnings` are sentences for the operator.
    """

    name: str
    location: str
    durability: Literal["strict", "standard", "fast"]
    ordered: Literal["task", "lane"] = "task"
    atomic: Literal["batch", "queue"] = "batch"
    transactional: bool = False
    versions: dict[str, str] = {}
    warnings: tuple[str, ...] = ()


class Enqueued(msgspec.Struct, frozen=True):
    """The task that stands for an enqueued one: itself, or the holder of its unique key."""

    task_id: str
    duplicate: bool = False


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for up to `limit` tasks of known types; `claim_id` is a new UUID for each call.

    `queues`: None means every queue, also those made later. At most `alone` of the tasks may be
    ones that must run by themselves. A queue's own lease, where it has one, replaces `lease`.
    """

    claim_id: str
    worker: str
    queues: tuple[str, ...] | None
    task_types: frozenset[str]
    limit: int
    alone: int = 0
    lease: timedelta = DEFAULT_LEASE


class Extension(msgspec.Struct, frozen=True):
    """Renews one lease and carries what the attempt reported since the last time."""

    claim: ClaimRef
    progress: Progress | None = None
    logs: tuple[LogLine, ...] = ()


class Hold(StrEnum):
    """What an extension found: still held, lost, or held with a cancel requested."""

    HELD = "held"
    LOST = "lost"
    CANCEL = "cancel"


class Promoted(msgspec.Struct, frozen=True):
    """`moved` tasks were due or expired; the next one is due in `next_in`, None when none waits."""

    moved: int
    next_in: timedelta | None


class Reclaimed(msgspec.Struct, frozen=True):
    """A task whose lease had expired, and the state that it went to."""

    task_id: str
    task_type: str
    queue: str
    worker: str
    state: State


class Retrial(StrEnum):
    """The answer to a manual retry."""

    RETRIED = "retried"
    NOT_FOUND = "not_found"
    NOT_FINAL = "not_final"
    COMPLETED = "completed"
    KEY_TAKEN = "key_taken"


SCHEDULE = "schedule"
"""The kind of the documents that define schedules, by name."""


class Firing(msgspec.Struct, frozen=True):
    """One instant of a schedule, and the task that it enqueues (id from `ids.fire_id`).

    `version` is that of the schedule's document from which the firing was worked out, None where
    it has none. Without a task it says that the instants up to this one were missed, and how many.
    `by_hand`: somebody runs the schedule out of turn; its mark stays where it is.
    """

    schedule: str
    at: datetime
    task: NewTask | None
    version: int | None = None
    missed: int = 0
    by_hand: bool = False


class Fired(StrEnum):
    """What became of a firing. The first three are kept as a `Fire` of the schedule."""

    FIRED = "fired"
    SKIPPED = "skipped"  # its task's unique key was held
    MISSED = "missed"  # it had no task
    ALREADY = "already"  # this instant, or a later one, was fired before
    EARLY = "early"  # its instant is still ahead
    CHANGED = "changed"  # the schedule's document has another version, or is gone


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """One instant of a schedule that was fired, skipped or missed, `recorded_at` by the engine.

    `task_id` is the task that was enqueued, or the holder of the key for which it was skipped;
    None, and the number of instants, where they were missed.
    """

    at: datetime
    recorded_at: datetime
    outcome: Fired
    task_id: str | None = None
    missed: int = 0
    by_hand: bool = False


class Mark(msgspec.Struct, frozen=True):
    """How far a schedule has come: the last instant decided, how often it fired, its last fires.

    `count` counts what was fired, also by hand. `fires` are the newest first, FIRES_KEPT at most.
    """

    schedule: str
    at: datetime | None = None
    count: int = 0
    fires: tuple[Fire, ...] = ()


class Marks(msgspec.Struct, frozen=True):
    """The marks asked for, in order, and the engine's now."""

    at: datetime
    marks: tuple[Mark, ...]


class Resolution(StrEnum):
    """How long the stretches of time are that attempts are counted in; each begins at its UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """How long one is."""
        return _LENGTHS[self]

    @property
    def kept(self) -> timedelta | None:
        """For how long at least it is kept; None: for ever."""
        return _KEPT[self]


_LENGTHS = {
    Resolution.MINUTE: timedelta(minutes=1),
    Resolution.HOUR: timedelta(hours=1),
    Resolution.DAY: timedelta(days=1),
}
_KEPT = {
    Resolution.MINUTE: timedelta(hours=48),
    Resolution.HOUR: timedelta(days=90),
    Resolution.DAY: None,
}


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which stretches to read: those that begin at or after `since` and before `until`.

    Empty collections do not restrict. `together` asks for one tally of each stretch, over all that
    is asked for; its queue and task type are empty.
    """

    since: datetime
    until: datetime
    resolution: Resolution = Resolution.MINUTE
    queues: frozenset[str] = frozenset()
    task_types: frozenset[str] = frozenset()
    together: bool = False


# A reading has tens of thousands of tallies, none of which can be part of a cycle: without them
# the collector's passes took a third of its time.
class Tally(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What ended in one stretch of time, of one task type in one queue.

    `completed`, `failed` and `cancelled` count tasks, `retried` and `reclaimed` attempts that were
    followed by another. The times are of attempts that were settled as completed, failed or
    retried: how long they `ran`, and `waited` for since their due instant, summed in microseconds
    and counted by slot of `histogram.slot`.
    """

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


COUNTED = ("completed", "failed", "cancelled", "retried", "reclaimed", "ran", "waited")
"""The fields of a `Tally` that are plain sums; `runs` and `waits` are histograms."""


class QueueDefinition(msgspec.Struct, frozen=True):
    """A queue's settings; None does not restrict.

    `weight` (1..100) is its share of claims; `lease` its lease time. At most `concurrency` of its
    tasks run at once, at most `worker_concurrency` of them in one worker, and they start at `rate`.
    At most `capacity` of its tasks wait: more are refused when they are enqueued.
    """

    name: str
    weight: int = 1
    lease: timedelta | None = None
    concurrency: int | None = None
    worker_concurrency: int | None = None
    rate: Rate | None = None
    capacity: int | None = None


class Document(msgspec.Struct, frozen=True):
    """A named value kept by the engine, written `at` an instant of the engine's clock.

    `version` rises by one with each change, from 1.
    """

    kind: str
    key: str
    version: int
    body: bytes
    at: datetime


class Put(msgspec.Struct, frozen=True):
    """Writes a document, or removes it (`body=None`).

    With `if_version` only when that is the present version; 0 means absent.
    """

    kind: str
    key: str
    body: bytes | None
    if_version: int | None = None


class TaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks to find, newest id first. Empty collections do not restrict.

    `tags`: all of them must be there. `error_contains` searches type and message, without case.
    `before` is the cursor of the page before. `details` fills payload, attempts and logs.
    """

    ids: tuple[str, ...] = ()
    states: frozenset[State] = frozenset()
    task_types: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    user_id: str | None = None
    project_id: str | None = None
    parent_id: str | None = None
    fingerprint: str | None = None
    error_contains: str | None = None
    enqueued_from: datetime | None = None
    enqueued_until: datetime | None = None
    before: str | None = None
    limit: int = 100
    details: bool = False


class TaskPage(msgspec.Struct, frozen=True):
    """Found tasks; `cursor` continues after them and is None on the last page."""

    tasks: tuple[Task, ...]
    cursor: str | None


class StateCount(msgspec.Struct, frozen=True):
    """How many tasks of one type are in one state in one queue."""

    queue: str
    task_type: str
    state: State
    count: int


class QueueStatus(msgspec.Struct, frozen=True):
    """A queue as it stands; `oldest_pending_at` is when its longest-waiting task became due.

    An engine that orders by lane may look at the first task of each lane only.
    """

    definition: QueueDefinition
    paused: bool
    oldest_pending_at: datetime | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.definition.name


class Stats(msgspec.Struct, frozen=True):
    """Exact counts at one instant; counts of zero are left out."""

    at: datetime
    counts: tuple[StateCount, ...]
    queues: tuple[QueueStatus, ...]


class Transition(msgspec.Struct, frozen=True):
    """One entry of the feed: what became of a task, and why.

    `cause` is one of `enqueued`, `replaced`, `promoted`, `admitted`, `claimed`, `progress`,
    `completed`, `retried`, `failed`, `cancelled`, `snoozed`, `waiting`, `released`, `reclaimed`,
    `expired`, `cancel_requested`, `manual_retry`, `children_final`, `upstream_final` (it goes on),
    `upstream_broken` (it ended with an upstream task), `joined` (it had nothing to run), `removed`,
    `restored`. `state` is the state afterwards.
    """

    at: datetime
    cause: str
    task_id: str
    task_type: str
    queue: str
    state: State
    attempt: int
    progress: Progress | None = None


class FeedPage(msgspec.Struct, frozen=True):
    """Transitions in the order they were recorded; `cursor` continues after them.

    `cut`: entries after the given cursor were already dropped, so that some are missing.
    """

    entries: tuple[Transition, ...]
    cursor: str
    cut: bool = False


class Transaction(Protocol):
    """A transaction of the engine's own database, open for the application's own SQL."""

    async def execute(
        self, sql: str, params: Sequence[Any] | dict[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Run one statement with bound parameters; answers all its rows."""
        ...


class Engine(Protocol):
    """Holds the tasks, and is the only thing that changes them."""

    @property
    def info(self) -> EngineInfo:
        """What it is and promises; known once `migrate` has run."""
        ...

    def session(self) -> "Engine":
        """The same store for another thread or event loop; closed on its own."""
        ...

    async def close(self) -> None:
        """Release what this session holds. Closing twice is closing once."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction to pass as `tx`: committed at a normal exit, else rolled back.

        Raises `EngineRefused` where `info.transactional` is False.
        """
        ...

    # produce

    async def enqueue(
        self, tasks: Sequence[NewTask], *, tx: object | None = None
    ) -> list[Enqueued]:
        """Accept tasks durably. With `tx` they exist once that transaction commits.

        `tx` is what `transaction` gave, or the caller's own connection to the same database.
        Raises `QueueFull` for tasks beyond their queue's capacity.
        """
        ...

    # consume

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        """Take ready tasks exclusively, each with a higher token than ever before.

        In claim order within a queue, shared between queues by weight. Repeating a claim id
        answers what is still held under it. Paused queues give nothing, the others no more
        than their concurrency and rate allow; tasks that have expired are cancelled instead.
        """
        ...

    async def extend(self, extensions: Sequence[Extension], lease: timedelta) -> list[Hold]:
        """Renew leases that are still held; the others are answered lost and change nothing."""
        ...

    async def settle(
        self, settlements: Sequence[Settlement], *, tx: object | None = None
    ) -> list[State | None]:
        """Record outcomes of claims still held; answers the state that the task is in then.

        None means stale: the claim is not held, and nothing was changed. Repeating an accepted
        settlement answers the state again and changes nothing. A requested cancel turns every
        outcome but Completed and Failed into cancelled, and then nothing of `enqueue` is made.
        """
        ...

    async def wait(self, queues: tuple[str, ...] | None, timeout: timedelta) -> None:
        """Return when there may be something to claim, or after `timeout`. Only a hint."""
        ...

    # repair

    async def migrate(self) -> None:
        """Open the store and bring it to this version's layout; safe to repeat and to race."""
        ...

    async def promote(self, limit: int) -> Promoted:
        """Move due tasks on to pending or blocked, and cancel waiting ones that have expired."""
        ...

    async def reclaim(self, limit: int) -> list[Reclaimed]:
        """Take back tasks whose lease has expired: pending, failed or cancelled.

        The next attempt runs alone. Without attempts left the task is failed.
        """
        ...

    async def prune(self, limit: int) -> int:
        """Remove final tasks whose retention is over, with all that belongs to them.

        History that is older than its resolution is kept goes too, and is not counted.
        """
        ...

    # operate

    async def cancel(self, ids: Sequence[str], reason: str = "") -> list[State | None]:
        """Cancel waiting tasks; ask running ones to stop. Answers the state then, None: unknown."""
        ...

    async def retry(self, ids: Sequence[str]) -> list[Retrial]:
        """Run failed or cancelled tasks again: same id, new budget, attempts keep rising."""
        ...

    async def remove(self, ids: Sequence[str]) -> list[bool]:
        """Remove final tasks now; False for those that are not there or not final."""
        ...

    async def pause(self, queue: str, *, paused: bool) -> None:
        """Stop or resume claims from a queue; what runs goes on."""
        ...

    async def configure(self, queues: Sequence[QueueDefinition]) -> None:
        """Create queues or change their settings."""
        ...

    async def fire(self, firings: Sequence[Firing]) -> list[Fired]:
        """Enqueue each firing's task unless its schedule already fired then or later.

        Moving the schedule's mark and enqueueing are one step. An instant after the engine's
        now is refused, and so is a firing worked out from another version of its schedule.
        """
        ...

    async def restore(
        self, tasks: Sequence[Task], *, marks: Sequence[Mark] = (), tallies: Sequence[Tally] = ()
    ) -> list[bool]:
        """Take in what another engine gave, tasks with all details; False: the id is known.

        A task keeps its id, instants, attempts and what it left. One that was running, or waited
        for children, is pending again without an attempt spent; one whose cancel was requested is
        cancelled. A unique key that is held is not taken. Marks and tallies that are there stay.
        """
        ...

    # documents

    async def get(self, kind: str, keys: Sequence[str]) -> list[Document | None]:
        """Read documents by key."""
        ...

    async def put(self, puts: Sequence[Put]) -> list[Document | None]:
        """Write documents one by one in order; None where `if_version` did not match.

        A removed document is answered with an empty body and version 0.
        """
        ...

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        """All documents of a kind whose key begins with `prefix`, by key."""
        ...

    # observe

    async def marks(self, schedules: Sequence[str], fires: int = 0) -> Marks:
        """How far each schedule has come, with at most so many of its last fires."""
        ...

    async def history(self, query: HistoryQuery) -> list[Tally]:
        """What ended when, oldest first, then by queue and task type; kept when tasks are pruned.

        Stretches in which nothing ended are left out.
        """
        ...

    async def find(self, query: TaskQuery) -> TaskPage:
        """Find tasks for people; never scans more than its filters need."""
        ...

    async def stats(self) -> Stats:
        """Counts and queues at this instant, without scanning tasks."""
        ...

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        """Transitions after a cursor, oldest first; waits up to `wait` when there are none.

        None starts at the end, the empty text at the oldest entry kept.
        """
        ...


FIRES_KEPT = 50
"""Fires that are kept of each schedule."""

MAX_CRASHES = 3
"""Attempts that may end the child process they run in before a task is failed as poison."""
