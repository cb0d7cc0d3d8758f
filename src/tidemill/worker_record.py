"""What a worker process says of itself, again and again, and what follows about it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tidemill.engine import Document
from tidemill.task import DEFAULT_LEASE

WORKER: Final = "worker"
"""The kind of the documents in which workers say what they are, by their name."""

TELL_EVERY: Final = timedelta(seconds=5)
LIVE_FOR: Final = DEFAULT_LEASE
"""How long after it was last heard of a worker is taken to be alive."""

KEPT_FOR: Final = timedelta(hours=1)
"""How long the record of a worker is kept that is not heard of any more."""


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as it described itself last.

    `queues` of None are all queues, later ones too. `concurrency`, `threads` and `children` are how
    many tasks it runs at once on its loop, on threads and in child processes; `running` is how many
    it held. `started_at` is an instant of the engine's clock, `version` that of Tidemill.
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

    def serves(self, queue: str) -> bool:
        """Whether it claims from a queue."""
        return self.queues is None or queue in self.queues


class WorkerInfo(msgspec.Struct, frozen=True):
    """A worker, and when it was `heard_at` last; not `live` when that is more than 30 s ago.

    One that ended in order is not there any more: one that is not live was killed, or is cut off.
    """

    worker: WorkerRecord
    heard_at: datetime
    live: bool


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(WorkerRecord)


def encode(record: WorkerRecord) -> bytes:
    """The body of its document."""
    return _ENCODER.encode(record)


def described(documents: Iterable[Document], now: datetime) -> list[WorkerInfo]:
    """The workers of documents, at an instant of the engine's clock.

    What another version of Tidemill wrote and this one cannot read is left out.
    """
    found = []
    for each in documents:
        try:
            record = _DECODER.decode(each.body)
        except msgspec.DecodeError:
            continue
        found.append(WorkerInfo(record, each.at, live=now - each.at <= LIVE_FOR))
    return found
