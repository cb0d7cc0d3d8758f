"""Statistics as people ask for them: an engine's tallies and counts, read and added up."""

from datetime import datetime

from tidemill.engine import Engine, HistoryQuery, Resolution, Tally
from tidemill.errors import QueueNotFound
from tidemill.statistics import (
    MOST_POINTS,
    By,
    Point,
    QueueStatistics,
    Span,
    Statistics,
    covering,
    even,
    of_queues,
    over_time,
    recent,
    summed,
)


async def of_range(
    engine: Engine,
    since: datetime,
    until: datetime,
    *,
    queue: str | None = None,
    task_type: str | None = None,
) -> Statistics:
    """The statistics of a range, from the few longest stretches that cover it."""
    spans = covering(since, until, await now(engine))
    tallies = [
        tally
        for span in spans
        for tally in await _read(engine, span, queue, task_type, together=True)
    ]
    return summed(tallies, spans[0].since, spans[-1].until)


async def points(
    engine: Engine,
    since: datetime,
    until: datetime,
    *,
    most: int = MOST_POINTS,
    resolution: Resolution | None = None,
    by: By | None = None,
    queue: str | None = None,
    task_type: str | None = None,
) -> list[Point]:
    """The statistics of each stretch of a range."""
    span = even(since, until, await now(engine), most=most, resolution=resolution)
    tallies = await _read(engine, span, queue, task_type, together=by is None)
    return over_time(tallies, span, by)


async def queues(engine: Engine, queue: str | None = None) -> list[QueueStatistics]:
    """Each queue as it stands, or only one, which must be there."""
    stats = await engine.stats()
    span = recent(stats.at)
    found = of_queues(stats, await _read(engine, span, queue, None), span.since)
    if queue is None:
        return found
    named = [each for each in found if each.name == queue]
    if not named:
        raise QueueNotFound(queue)
    return named


async def now(engine: Engine) -> datetime:
    """The engine's time."""
    return (await engine.marks(())).at


async def _read(
    engine: Engine,
    span: Span,
    queue: str | None,
    task_type: str | None,
    *,
    together: bool = False,
) -> list[Tally]:
    return await engine.history(
        HistoryQuery(
            since=span.since,
            until=span.until,
            resolution=span.resolution,
            queues=frozenset(() if queue is None else (queue,)),
            task_types=frozenset(() if task_type is None else (task_type,)),
            together=together,
        )
    )
