"""What ended when: statistics of a range, and over time."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from tidemill.access import Scope
from tidemill.api.limits import Instant, Name, checked_instants
from tidemill.api.records.statistics import points_record, statistics_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.engine import Resolution
from tidemill.interface.statistics import PointsRecord, StatisticsRecord
from tidemill.statistics import MOST_POINTS, By

TAG: Final = "statistics"
USUAL_RANGE: Final = timedelta(hours=24)

Points = Annotated[int, Meta(ge=1, le=MOST_POINTS)]


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `start_time` until before `end_time`; the last 24 hours unless they are said."""

    start_time: Instant | None = None
    end_time: Instant | None = None
    queue_name: Name | None = None
    task_type: Name | None = None

    def __post_init__(self) -> None:
        """Refuse instants that cannot be counted with."""
        checked_instants(self.start_time, self.end_time)


class RangeOverTime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A range in at most `points` stretches, as short as is kept, or of one `resolution`.

    `by` makes one point for each queue or task type in which anything ended.
    """

    start_time: Instant | None = None
    end_time: Instant | None = None
    queue_name: Name | None = None
    task_type: Name | None = None
    points: Points | None = None
    resolution: Resolution | None = None
    by: By | None = None

    def __post_init__(self) -> None:
        """Refuse instants that cannot be counted with."""
        checked_instants(self.start_time, self.end_time)


@route(
    "GET",
    "/tasks/statistics",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: StatisticsRecord},
    headers=("If-None-Match",),
)
async def get_statistics(call: Call[Range, Nothing]) -> Answer:
    """Read what ended in a range of time, also of tasks that were removed since."""
    since, until = await _range(call)
    found = await call.app.statistics(
        since, until, queue=call.query.queue_name, task_type=call.query.task_type
    )
    return Answer(statistics_record(found))


@route(
    "GET",
    "/tasks/statistics/over-time",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: PointsRecord},
    headers=("If-None-Match",),
)
async def get_statistics_over_time(call: Call[RangeOverTime, Nothing]) -> Answer:
    """Read the statistics of each stretch of a range, oldest first."""
    since, until = await _range(call)
    wanted = call.query
    points = await call.app.statistics_over_time(
        since,
        until,
        points=wanted.points,
        resolution=wanted.resolution,
        by=wanted.by,
        queue=wanted.queue_name,
        task_type=wanted.task_type,
    )
    return Answer(points_record(points))


async def _range(call: Call[Any, Any]) -> tuple[datetime, datetime]:
    until = call.query.end_time or (await (await call.app.engine()).marks(())).at
    return call.query.start_time or until - USUAL_RANGE, until


HANDLERS: list[HTTPRouteHandler] = [get_statistics, get_statistics_over_time]
