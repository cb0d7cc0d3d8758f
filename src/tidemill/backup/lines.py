"""The lines of a backup, and their form as JSON."""

from datetime import datetime
from typing import Final

import msgspec

from tidemill.app.declared import DECLARATIONS
from tidemill.app.declared_queues import DECLARED_QUEUES
from tidemill.engine import SCHEDULE, Document, Mark, QueueDefinition, Tally
from tidemill.queue import QUEUE
from tidemill.task import Task

FORMAT: Final = 1
"""Rises when a Tidemill that knows only this one could not restore all that is in a file."""

KINDS: Final = (QUEUE, DECLARED_QUEUES, SCHEDULE, DECLARATIONS)
"""The kinds of documents that a backup holds: all that Tidemill writes, but for those that tell of
running processes and the one that tells schedulers of changes."""


class Header(msgspec.Struct, frozen=True, tag="header"):
    """The first line: what was backed up, and when that began by the engine's clock."""

    format: int
    at: datetime
    engine: str
    versions: dict[str, str]


class QueueLine(msgspec.Struct, frozen=True, tag="queue"):
    """A queue's settings, and whether it was paused."""

    definition: QueueDefinition
    paused: bool


class DocumentLine(msgspec.Struct, frozen=True, tag="document"):
    """A document; its version counts from 1 again where it is restored."""

    document: Document


class MarkLine(msgspec.Struct, frozen=True, tag="mark"):
    """How far a schedule had come, with its last fires."""

    mark: Mark


class TallyLine(msgspec.Struct, frozen=True, tag="tally"):
    """What ended in one stretch of time."""

    tally: Tally


class TaskLine(msgspec.Struct, frozen=True, tag="task"):
    """A task with payload, attempts and logs."""

    task: Task


class Trailer(msgspec.Struct, frozen=True, tag="trailer"):
    """The last line: how many lines of each kind, and the SHA-256 of all before this one, in hex.

    `missing` tasks were there when the backup began and are not in it.
    """

    counts: dict[str, int]
    missing: int
    sha256: str


Line = Header | QueueLine | DocumentLine | MarkLine | TallyLine | TaskLine | Trailer

encoder: Final = msgspec.json.Encoder()
decoder: Final = msgspec.json.Decoder(Line)


def kind_of(line: Line) -> str:
    """What a line holds, as its `type` says."""
    return str(line.__struct_config__.tag)
