"""Statistics."""

from collections.abc import Sequence

import msgspec

from tidemill.engine import Resolution
from tidemill.interface.statistics import PointRecord, PointsRecord, StatisticsRecord
from tidemill.statistics import Point, Statistics


def statistics_record(found: Statistics) -> StatisticsRecord:
    """What ended in a range."""
    said = msgspec.structs.asdict(found)
    return StatisticsRecord(start_time=said.pop("since"), end_time=said.pop("until"), **said)


def points_record(points: Sequence[Point]) -> PointsRecord:
    """What ended in each stretch of a range."""
    lengths = {each.length: each for each in Resolution}
    first = points[0].statistics if points else None
    return PointsRecord(
        resolution=lengths.get(first.until - first.since) if first else None,
        points=tuple(
            PointRecord(
                at=each.at,
                queue_name=each.queue,
                task_type=each.task_type,
                statistics=statistics_record(each.statistics),
            )
            for each in points
        ),
    )
