"""What a worker process says of itself, again and again, and what follows about it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from tidemill.engine import Document, Put
from tidemill.task import DEFAULT_LEASE

WORKER: Final = "worker"
"""The kind of the documents in which workers say what they are, by their name."""

TELL_EVERY: Final = timedelta(seconds=5)
TELLS_IN_LEASE: Final = 6
"""How often a worker speaks within its lease at least, where that is a short one."""

KEPT_FOR: Final = timedelta(hours=1)
"""How long the record of a worker is kept that is not heard of any more."""

MOST_TASKS: Final = 100
"""Tasks that a record names of each kind, begun or reserved; the others are counted."""


class WorkerState(StrEnum):
    """Whether a worker claims tasks, or finishes those that it holds and ends."""

    RUNNING = "running"
    DRAINING = "draining"


class HeldTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a worker held when it spoke last.

    `ran_for` is how long its attempt was under way then; None: it was reserved, which is claimed
    and not begun.
    """

    id: str
    task_type: str
    queue: str
    attempt: int
    ran_for: timedelta | None


class SlotUse(msgspec.Struct, frozen=True):
    """How many tasks a pool of a worker runs at once at most, and how many it had."""

    size: int
    used: int


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as it described itself last.

    `queues` of None are all queues, later ones too. `concurrency`, `threads` and `children` are how
    many tasks it runs at once on its loop, on threads and in child processes; `adaptive` when it
    changes the first by itself. `slots` tells the same of each pool with how many are in use:
    `loop`, `thread`, `process`, `apart` (tasks that must run alone), and `batch:` with the name of
    each batch task type. `running` is how many tasks it held. `tasks` names up to 100 that ran,
    the longest first, then up to 100 that were reserved; `left_out` counts the others.

    `cpu` is in per cent of one core and `memory` in bytes, of the process without its children.
    `loop_lag` is how long its loop let a call wait that was made shortly before. `started_at` is an
    instant of the engine's clock, `version` that of Tidemill. `lost_since` is when it was heard of
    last, once somebody has found it silent for most of its `lease`.
    """

    name: str
    host: str
    pid: int
    queues: tuple[str, ...] | None
    task_types: tuple[str, ...]
    concurrency: int
    threads: int
    children: int
    started_at: datetime
    version: str
    running: int = 0
    state: WorkerState = WorkerState.RUNNING
    adaptive: bool = False
    lease: timedelta = DEFAULT_LEASE
    slots: dict[str, SlotUse] = {}
    tasks: tuple[HeldTask, ...] = ()
    left_out: int = 0
    cpu: float | None = None
    memory: int | None = None
    loop_lag: timedelta | None = None
    lost_since: datetime | None = None

    @property
    def live_for(self) -> timedelta:
        """How long after it was last heard of it is taken to be alive: 22.5 s by default.

        Less than its lease, so that a killed worker is named before its lease is over.
        """
        return min(self.lease, DEFAULT_LEASE) * 0.75

    def serves(self, queue: str) -> bool:
        """Whether it claims from a queue."""
        return self.queues is None or queue in self.queues


class WorkerInfo(msgspec.Struct, frozen=True):
    """A worker, and when it was `heard_at` last; `live` for three quarters of its lease then.

    One that ended in order is not there any more: one that is not live was killed, or is cut off.
    """

    worker: WorkerRecord
    heard_at: datetime
    live: bool

    def started_at(self, task: HeldTask) -> datetime | None:
        """When the attempt at one of its tasks began, by the engine's clock; None of a reserved."""
        return None if task.ran_for is None else self.heard_at - task.ran_for


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(WorkerRecord)


def encode(record: WorkerRecord) -> bytes:
    """The body of its document."""
    return _ENCODER.encode(record)


def described(documents: Iterable[Document], now: datetime) -> list[WorkerInfo]:
    """The workers of documents, at an instant of the engine's clock.

    What another version of Tidemill wrote and this one cannot read is left out.
    """
    return [info for each in documents if (info := _info(each, now)) is not None]


def _info(document: Document, now: datetime) -> WorkerInfo | None:
    try:
        record = _DECODER.decode(document.body)
    except msgspec.DecodeError:
        return None
    if record.lost_since is not None:
        return WorkerInfo(record, record.lost_since, live=False)
    return WorkerInfo(record, document.at, live=now - document.at <= record.live_for)


def forgetting(documents: Iterable[Document], now: datetime) -> list[Put]:
    """Removes the records of workers that were not heard of for an hour."""
    return [
        Put(WORKER, each.key, None, each.version)
        for each in documents
        if now - (info.heard_at if (info := _info(each, now)) else each.at) > KEPT_FOR
    ]


class Unheard:
    """Finds workers that fell silent, from one look at their records to the next.

    A record that is old at the first look says little: after an outage of the engine all of them
    are, and their workers speak again within seconds. A worker is lost when its record is too old
    and stayed the same for a third of its lease of looks in a row.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], datetime] = {}
        self._looked_at: datetime | None = None

    def look(self, documents: Sequence[Document], now: datetime) -> list[tuple[Put, WorkerRecord]]:
        """The lost workers that nobody has marked yet, and what marks each: once, whoever tries."""
        gap = None if self._looked_at is None else now - self._looked_at
        known = self._since if gap is not None and gap < DEFAULT_LEASE / 3 else {}
        self._looked_at = now
        self._since = {
            seen: known.get(seen, now) for seen in ((each.key, each.version) for each in documents)
        }
        found = []
        for each in documents:
            info = _info(each, now)
            if info is None or info.live or info.worker.lost_since is not None:
                continue
            record = info.worker
            if now - self._since[each.key, each.version] >= min(record.lease, DEFAULT_LEASE) / 3:
                marked = msgspec.structs.replace(record, lost_since=info.heard_at)
                found.append((Put(WORKER, each.key, encode(marked), each.version), record))
        return found
