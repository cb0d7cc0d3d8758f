"""What tallies say about a range of time, and about queues. Pure: engines count, `app` asks them.

A range is covered by whole stretches, so that an answer may cover a little more than was asked for;
it always says which range it covers. Percentiles come from merged histograms and are within 9 %.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import msgspec

from tidemill.clock import MICROSECOND, from_micros, micros, to_micros
from tidemill.engine import QueueStatus, Resolution, Stats, Tally
from tidemill.errors import ConfigError
from tidemill.histogram import add, percentiles
from tidemill.rates import Rate
from tidemill.task import State

MOST_POINTS = 1_500
"""Stretches in one answer over time: more than a chart has pixels for."""

RECENT = timedelta(minutes=5)
"""What the throughput of a queue is measured over."""

By = Literal["queue", "task_type"]

FINEST_FIRST = (Resolution.MINUTE, Resolution.HOUR, Resolution.DAY)
_SHARES = (0.5, 0.95, 0.99)
_NOTHING = timedelta()


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What ended from `since` until before `until`, the range that is really covered.

    `total` is completed + failed + cancelled tasks; `retried` and `reclaimed` are attempts that
    another one followed. `success_rate` is the percentage of completed among completed and failed.
    Durations are of attempts that were settled as completed, failed or retried: from start to end,
    and before it from due to start, in milliseconds; percentiles within 9 %. What nothing was
    counted for is None.
    """

    since: datetime
    until: datetime
    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    reclaimed: int = 0
    success_rate: float | None = None
    avg_duration_ms: float | None = None
    p50_duration_ms: float | None = None
    p95_duration_ms: float | None = None
    p99_duration_ms: float | None = None
    avg_wait_ms: float | None = None
    p50_wait_ms: float | None = None
    p95_wait_ms: float | None = None
    p99_wait_ms: float | None = None


class Point(msgspec.Struct, frozen=True):
    """One stretch of time, which begins `at`, of all tasks or of one queue or task type."""

    at: datetime
    queue: str | None
    task_type: str | None
    statistics: Statistics


class QueueStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """A queue now. `waiting` counts by state (scheduled, blocked, pending), zeros included.

    `completed`, `failed` and `cancelled` count the records that are still there. `oldest_age` is
    how long the longest-waiting pending task has been due. `throughput` is tasks ended per second
    over the last five minutes, the running one included. `empty_in` is how long the pending tasks
    last at that rate; None while nothing ends or the queue is paused. At most `concurrency` tasks
    run at once, `capacity` tasks wait, and tasks start at `rate`; None does not restrict.
    """

    name: str
    waiting: dict[State, int]
    running: int
    completed: int
    failed: int
    cancelled: int
    paused: bool
    weight: int
    concurrency: int | None
    capacity: int | None
    rate: Rate | None
    oldest_age: timedelta | None
    throughput: float
    empty_in: timedelta | None


class Span(msgspec.Struct, frozen=True):
    """Whole stretches of one length, from `since` until before `until`."""

    resolution: Resolution
    since: datetime
    until: datetime

    @property
    def count(self) -> int:
        """How many stretches these are."""
        return (self.until - self.since) // self.resolution.length

    @property
    def starts(self) -> Iterator[datetime]:
        """When each stretch begins."""
        return (self.since + number * self.resolution.length for number in range(self.count))


# which stretches cover a range


def covering(since: datetime, until: datetime, now: datetime) -> list[Span]:
    """The fewest whole stretches that cover a range: days and hours inside, finer ones at its ends.

    The ends are as fine as is kept there, seen from `now`.
    """
    _check(since, until)
    last = until - MICROSECOND
    start = _floor(since, _finest_kept(since, now))
    fine = _finest_kept(last, now)
    return list(_cut(start, _floor(last, fine) + fine.length, FINEST_FIRST[::-1]))


def even(
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    most: int = MOST_POINTS,
    resolution: Resolution | None = None,
) -> Span:
    """The stretches of one length that cover a range, at most `most`: the finest that are kept.

    Raises `ConfigError` when there are too many of them, or when those asked for are not kept.
    """
    _check(since, until)
    if not 1 <= most <= MOST_POINTS:
        raise ConfigError(f"{most} points: ask for 1 to {MOST_POINTS:,}")
    if resolution is not None:
        span = _whole(resolution, since, until)
        if not _is_kept(span.since, resolution, now):
            raise ConfigError(
                f"a {resolution} is kept for {_days(resolution)}, and {since.isoformat()} is older:"
                " begin later, or ask for a coarser resolution"
            )
        if span.count > most:
            raise ConfigError(
                f"a point for each {resolution} from {since.isoformat()} until {until.isoformat()}"
                f" makes {span.count:,}, more than {most:,}: ask for a coarser resolution or a"
                " shorter range"
            )
        return span
    spans = [_whole(each, since, until) for each in FINEST_FIRST]
    for span in spans:
        if span.count <= most and _is_kept(span.since, span.resolution, now):
            return span
    raise ConfigError(
        f"{since.isoformat()} until {until.isoformat()} are {spans[-1].count:,} days, more than "
        f"{most:,} points: ask for a shorter range"
    )


def _check(since: datetime, until: datetime) -> None:
    for name, instant in (("since", since), ("until", until)):
        if instant.tzinfo is None:
            raise ConfigError(f"{name} {instant.isoformat()} has no time zone: use an aware one")
    if since >= until:
        raise ConfigError(
            f"a range ends after it begins: since {since.isoformat()} is not before until "
            f"{until.isoformat()}"
        )


def _floor(at: datetime, resolution: Resolution) -> datetime:
    instant = to_micros(at)
    return from_micros(instant - instant % micros(resolution.length))


def _whole(resolution: Resolution, since: datetime, until: datetime) -> Span:
    last = _floor(until - MICROSECOND, resolution)
    return Span(resolution, _floor(since, resolution), last + resolution.length)


def _is_kept(at: datetime, resolution: Resolution, now: datetime) -> bool:
    return resolution.kept is None or at >= now - resolution.kept


def _finest_kept(at: datetime, now: datetime) -> Resolution:
    """The finest stretches that are all kept of the next coarser one in which an instant lies."""
    for fine, coarse in pairwise(FINEST_FIRST):
        if _is_kept(_floor(at, coarse), fine, now):
            return fine
    return Resolution.DAY


def _cut(since: datetime, until: datetime, coarsest_first: Sequence[Resolution]) -> Iterator[Span]:
    """A range in the coarsest stretches that fit into it, and what is left at its ends in finer."""
    if since >= until:
        return
    coarse, *finer = coarsest_first
    begin = _floor(since + coarse.length - MICROSECOND, coarse)
    end = _floor(until, coarse)
    if begin >= end:
        yield from _cut(since, until, finer)
        return
    yield from _cut(since, begin, finer)
    yield Span(coarse, begin, end)
    yield from _cut(end, until, finer)


def _days(resolution: Resolution) -> str:
    return "ever" if resolution.kept is None else f"{resolution.kept.days} days"


# what their tallies say


def summed(tallies: Iterable[Tally], since: datetime, until: datetime) -> Statistics:
    """The statistics of all tallies together, which cover this range."""
    completed = failed = cancelled = retried = reclaimed = ran = waited = 0
    runs: dict[int, int] = {}
    waits: dict[int, int] = {}
    for tally in tallies:
        completed += tally.completed
        failed += tally.failed
        cancelled += tally.cancelled
        retried += tally.retried
        reclaimed += tally.reclaimed
        ran += tally.ran
        waited += tally.waited
        add(runs, tally.runs)
        add(waits, tally.waits)
    decided = completed + failed
    run, wait = _durations(ran, runs), _durations(waited, waits)
    return Statistics(
        since=since,
        until=until,
        total=decided + cancelled,
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        retried=retried,
        reclaimed=reclaimed,
        success_rate=100 * completed / decided if decided else None,
        avg_duration_ms=run[0],
        p50_duration_ms=run[1],
        p95_duration_ms=run[2],
        p99_duration_ms=run[3],
        avg_wait_ms=wait[0],
        p50_wait_ms=wait[1],
        p95_wait_ms=wait[2],
        p99_wait_ms=wait[3],
    )


def _durations(total: int, histogram: dict[int, int]) -> list[float | None]:
    """Average and percentiles in milliseconds."""
    if not histogram:
        return [None] * (1 + len(_SHARES))
    read = percentiles(histogram, _SHARES)
    average = total / sum(histogram.values())
    return [None if each is None else each / 1_000 for each in (average, *read)]


def over_time(tallies: Iterable[Tally], span: Span, by: By | None = None) -> list[Point]:
    """One point for each stretch of a span, oldest first, with zeros where nothing ended.

    With `by`, one for each stretch and each queue or task type in which anything ended.
    """
    parts: dict[datetime, dict[str | None, list[Tally]]] = {}
    groups: set[str | None] = set() if by else {None}
    for tally in tallies:
        group = getattr(tally, by) if by else None
        groups.add(group)
        parts.setdefault(tally.at, {}).setdefault(group, []).append(tally)
    ordered = sorted(groups, key=str)
    return [
        Point(
            at,
            group if by == "queue" else None,
            group if by == "task_type" else None,
            summed(parts.get(at, {}).get(group, ()), at, at + span.resolution.length),
        )
        for at in span.starts
        for group in ordered
    ]


# queues


def recent(now: datetime) -> Span:
    """The minutes that a throughput is measured over; the last one is the running one."""
    running = _floor(now, Resolution.MINUTE) + Resolution.MINUTE.length
    return Span(Resolution.MINUTE, running - RECENT, running)


def of_queues(stats: Stats, tallies: Iterable[Tally], since: datetime) -> list[QueueStatistics]:
    """Each queue by its counts, and by what ended in it from `since` until these were taken."""
    ended: dict[str, int] = {}
    for tally in tallies:
        count = tally.completed + tally.failed + tally.cancelled
        ended[tally.queue] = ended.get(tally.queue, 0) + count
    counts: dict[str, dict[State, int]] = {}
    for each in stats.counts:
        states = counts.setdefault(each.queue, dict.fromkeys(State, 0))
        states[each.state] += each.count
    seconds = max((stats.at - since).total_seconds(), 1.0)
    nothing = dict.fromkeys(State, 0)
    return [
        _of_queue(
            queue, counts.get(queue.name, nothing), ended.get(queue.name, 0) / seconds, stats.at
        )
        for queue in stats.queues
    ]


def _of_queue(
    queue: QueueStatus, counts: dict[State, int], throughput: float, now: datetime
) -> QueueStatistics:
    since = queue.oldest_pending_at
    return QueueStatistics(
        name=queue.name,
        waiting={state: counts[state] for state in (State.SCHEDULED, State.BLOCKED, State.PENDING)},
        running=counts[State.RUNNING],
        completed=counts[State.COMPLETED],
        failed=counts[State.FAILED],
        cancelled=counts[State.CANCELLED],
        paused=queue.paused,
        weight=queue.definition.weight,
        concurrency=queue.definition.concurrency,
        capacity=queue.definition.capacity,
        rate=queue.definition.rate,
        oldest_age=None if since is None else max(_NOTHING, now - since),
        throughput=throughput,
        empty_in=_empty_in(counts[State.PENDING], throughput, paused=queue.paused),
    )


def _empty_in(pending: int, throughput: float, *, paused: bool) -> timedelta | None:
    if not pending:
        return _NOTHING
    if paused or not throughput:
        return None
    return timedelta(seconds=pending / throughput)
