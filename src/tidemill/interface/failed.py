"""Failed tasks by what went wrong."""

from datetime import datetime

import msgspec


class FailedGroupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Failed tasks with one error: of one type, raised at one place.

    `error_message` is that of the newest; `examples` are ids of tasks, the newest first.
    """

    fingerprint: str
    error_type: str
    error_message: str
    count: int
    task_types: tuple[str, ...]
    queue_names: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    examples: tuple[str, ...]


class FailedGroupsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Groups, the largest first, of the `looked_at` newest failed tasks; `capped`: of more."""

    groups: tuple[FailedGroupRecord, ...]
    looked_at: int
    capped: bool


class RetriedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks were asked for, how many run again, and why the others do not."""

    asked: int
    retried: int
    refused: dict[str, int]


class DroppedRecord(msgspec.Struct, frozen=True):
    """How many failed tasks were removed for good."""

    dropped: int
