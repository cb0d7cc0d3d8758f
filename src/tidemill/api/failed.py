"""Failed tasks in groups, by what went wrong: list, retry, drop.

One failed task is read, retried and listed like any other (`GET /tasks?status=failed`).
"""

from typing import Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope
from tidemill.api.auditing import Change
from tidemill.api.bodies import RetryGroup
from tidemill.api.limits import Label, Name
from tidemill.api.owning import narrowed
from tidemill.api.problems import invalid
from tidemill.api.records.failed import failed_groups_record, retried_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.app.failed import FailedGroups
from tidemill.engine import TaskQuery
from tidemill.interface.failed import DroppedRecord, FailedGroupsRecord, RetriedRecord
from tidemill.interface.problems import FieldProblem

TAG: Final = "failed tasks"
MOST_SECONDS: Final = 60
"""How long a retry at a rate may take in one request."""

NO_GROUPS: Final = FailedGroups((), 0, capped=False)


class GroupFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed tasks; `task_type` and `queue_name` may be repeated."""

    task_type: tuple[Name, ...] = ()
    queue_name: tuple[Name, ...] = ()
    user_id: Label | None = None
    project_id: Label | None = None

    def query(self, fingerprint: str | None = None) -> TaskQuery:
        """The same as the engine is asked."""
        return TaskQuery(
            task_types=frozenset(self.task_type),
            queues=frozenset(self.queue_name),
            user_id=self.user_id,
            project_id=self.project_id,
            fingerprint=fingerprint,
        )


@route(
    "GET",
    "/failed-groups",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: FailedGroupsRecord},
    headers=("If-None-Match",),
)
async def list_failed_groups(call: Call[GroupFilter, Nothing]) -> Answer:
    """List failed tasks by their error, the largest group first."""
    wanted = narrowed(call.query.query(), call.access.tenant)
    found = NO_GROUPS if wanted is None else await call.app.failed.groups(wanted)
    return Answer(failed_groups_record(found))


@route(
    "POST",
    "/failed-groups/{fingerprint}/retry",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: RetriedRecord},
)
async def retry_failed_group(call: Call[GroupFilter, RetryGroup]) -> Answer:
    """Run the tasks of a group again, each with a new budget of attempts."""
    wanted = narrowed(call.query.query(call.named("fingerprint")), call.access.tenant)
    if wanted is None:
        return Answer(RetriedRecord(asked=0, retried=0, refused={}), change=None)
    rate = call.body.rate
    if rate is not None:
        count = sum(each.count for each in (await call.app.failed.groups(wanted)).groups)
        if count > rate * MOST_SECONDS:
            message = f"is too low: {count:,} tasks would take more than {MOST_SECONDS} seconds"
            raise invalid(FieldProblem("rate", message))
    report = await call.app.failed.retry(wanted, rate=rate)
    return Answer(retried_record(report), change=Change() if report.retried else None)


@route(
    "DELETE",
    "/failed-groups/{fingerprint}",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=True,
    answers={200: DroppedRecord},
)
async def drop_failed_group(call: Call[GroupFilter, Nothing]) -> Answer:
    """Remove the tasks of a group for good, with results, logs and history."""
    wanted = narrowed(call.query.query(call.named("fingerprint")), call.access.tenant)
    dropped = 0 if wanted is None else await call.app.failed.drop(wanted)
    return Answer(DroppedRecord(dropped), change=Change() if dropped else None)


HANDLERS: list[HTTPRouteHandler] = [list_failed_groups, retry_failed_group, drop_failed_group]
