"""Failed tasks by what went wrong."""

from datetime import datetime

import msgspec

from tidemill.app.failed import FailedGroup, FailedGroups, RetryReport


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


def failed_groups_record(found: FailedGroups) -> FailedGroupsRecord:
    """Failed tasks by their error."""
    return FailedGroupsRecord(
        groups=tuple(_group(each) for each in found.groups),
        looked_at=found.looked_at,
        capped=found.capped,
    )


def _group(found: FailedGroup) -> FailedGroupRecord:
    return FailedGroupRecord(
        fingerprint=found.fingerprint,
        error_type=found.error_type,
        error_message=found.message,
        count=found.count,
        task_types=found.task_types,
        queue_names=found.queues,
        first_at=found.first_at,
        last_at=found.last_at,
        examples=found.examples,
    )


def retried_record(found: RetryReport) -> RetriedRecord:
    """What a retry of many tasks did."""
    refused = {each.value: count for each, count in found.refused.items()}
    return RetriedRecord(asked=found.asked, retried=found.retried, refused=refused)
