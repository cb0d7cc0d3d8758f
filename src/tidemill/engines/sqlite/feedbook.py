"""How transitions lie in the feed: one row for all of one transaction."""

from typing import Final

import msgspec

from tidemill.clock import from_micros
from tidemill.engine import Transition
from tidemill.engines.sqlite.rows import STATES, id_of
from tidemill.task import Progress

FEED_LENGTH: Final = 100_000
"""Transitions that the feed keeps at least; older ones are dropped."""

CAUSES: Final = (
    "enqueued",
    "replaced",
    "promoted",
    "admitted",
    "claimed",
    "progress",
    "completed",
    "retried",
    "failed",
    "cancelled",
    "snoozed",
    "waiting",
    "released",
    "reclaimed",
    "expired",
    "cancel_requested",
    "manual_retry",
    "children_final",
    "removed",
    "restored",
    "upstream_final",
    "upstream_broken",
    "joined",
)
"""Causes by the number that stands for them in stored rows: only ever append."""

CODE_OF: Final = {cause: code for code, cause in enumerate(CAUSES)}


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One transition as it is stored."""

    cause: int
    key: bytes
    type: int
    queue: int
    state: int
    attempt: int
    progress: Progress | None = None


_entries = msgspec.msgpack.Decoder(list[Entry]).decode


def entries_from(body: bytes) -> list[Entry]:
    """The entries of one stored row."""
    return _entries(body)


def transition(
    entry: Entry, at: int, type_names: dict[int, str], queue_names: dict[int, str]
) -> Transition:
    """An entry as the feed answers it."""
    return Transition(
        at=from_micros(at),
        cause=CAUSES[entry.cause],
        task_id=id_of(entry.key.hex()),
        task_type=type_names[entry.type],
        queue=queue_names[entry.queue],
        state=STATES[entry.state],
        attempt=entry.attempt,
        progress=entry.progress,
    )
