"""Statistics."""

from datetime import datetime

import msgspec

from tidemill.engine import Resolution


class StatisticsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What ended from `start_time` until before `end_time`, the range that is really covered.

    Durations are of attempts, in milliseconds: from start to end, and before it from due to start.
    `success_rate` is the percentage of completed among completed and failed. What nothing was
    counted for is null.
    """

    start_time: datetime
    end_time: datetime
    total: int
    completed: int
    failed: int
    cancelled: int
    retried: int
    reclaimed: int
    success_rate: float | None
    avg_duration_ms: float | None
    p50_duration_ms: float | None
    p95_duration_ms: float | None
    p99_duration_ms: float | None
    avg_wait_ms: float | None
    p50_wait_ms: float | None
    p95_wait_ms: float | None
    p99_wait_ms: float | None


class PointRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of time, of all tasks or of one queue or task type."""

    at: datetime
    queue_name: str | None
    task_type: str | None
    statistics: StatisticsRecord


class PointsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The statistics of each stretch of a range, oldest first."""

    resolution: Resolution | None
    points: tuple[PointRecord, ...]
