"""Failed tasks by what went wrong."""

from tidemill.app.failed import FailedGroup, FailedGroups, RetryReport
from tidemill.interface.failed import FailedGroupRecord, FailedGroupsRecord, RetriedRecord


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
