"""Failed tasks in groups."""

from typing import TypedDict, Unpack

from tidemill.client.asking import Ask, Route, path, said
from tidemill.client.routes.forms import API, read
from tidemill.interface.failed import DroppedRecord, FailedGroupsRecord, RetriedRecord


class GroupFilter(TypedDict, total=False):
    """Which failed tasks are meant."""

    task_type: str
    queue_name: str
    user_id: str
    project_id: str


@Route
def list_failed_groups(**which: Unpack[GroupFilter]) -> Ask[FailedGroupsRecord]:
    """Failed tasks counted by their error."""
    return read(f"{API}/failed-groups", FailedGroupsRecord, which)


@Route
def retry_failed_group(
    fingerprint: str, *, rate: float | None = None, **which: Unpack[GroupFilter]
) -> Ask[RetriedRecord]:
    """Run all tasks with an error again, so many per second at most."""
    return Ask(
        method="POST",
        path=path(f"{API}/failed-groups/{{}}/retry", fingerprint),
        answer=RetriedRecord,
        query=which,
        body=said({"rate": rate}),
    )


@Route
def drop_failed_group(fingerprint: str, **which: Unpack[GroupFilter]) -> Ask[DroppedRecord]:
    """Remove all tasks with an error for good."""
    return Ask(
        method="DELETE",
        path=path(f"{API}/failed-groups/{{}}", fingerprint),
        answer=DroppedRecord,
        query=which,
    )
