"""Ranges covered by whole stretches, and what tallies say about them."""

import random
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest

from tidemill.engine import QueueDefinition, QueueStatus, Resolution, StateCount, Stats, Tally
from tidemill.errors import ConfigError
from tidemill.histogram import slot, value
from tidemill.rates import Rate
from tidemill.statistics import (
    MOST_POINTS,
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
from tidemill.task import State

RATE = Rate(100, timedelta(minutes=1), 10)
MINUTE, HOUR, DAY = Resolution.MINUTE, Resolution.HOUR, Resolution.DAY
NOW = datetime(2026, 2, 21, 10, 37, 20, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + ":00+00:00")


def tally(**fields: Any) -> Tally:
    plain: dict[str, Any] = {
        "resolution": MINUTE,
        "at": at("2026-02-21T10:30"),
        "queue": "q",
        "task_type": "t",
    }
    return Tally(**(plain | fields))


# covering


def test_seven_days_are_hours_then_days_then_what_is_left_in_hours_and_minutes() -> None:
    assert covering(NOW - timedelta(days=7), NOW, NOW) == [
        Span(HOUR, at("2026-02-14T10:00"), at("2026-02-15T00:00")),
        Span(DAY, at("2026-02-15T00:00"), at("2026-02-21T00:00")),
        Span(HOUR, at("2026-02-21T00:00"), at("2026-02-21T10:00")),
        Span(MINUTE, at("2026-02-21T10:00"), at("2026-02-21T10:38")),
    ]


def test_a_range_within_the_last_two_days_begins_at_its_minute() -> None:
    assert covering(at("2026-02-20T22:58"), at("2026-02-21T01:02"), NOW) == [
        Span(MINUTE, at("2026-02-20T22:58"), at("2026-02-20T23:00")),
        Span(HOUR, at("2026-02-20T23:00"), at("2026-02-21T01:00")),
        Span(MINUTE, at("2026-02-21T01:00"), at("2026-02-21T01:02")),
    ]


def test_what_is_older_than_the_hours_that_are_kept_begins_with_its_day() -> None:
    [days, *_] = covering(at("2025-01-01T13:30"), at("2025-03-01T00:00"), NOW)
    assert days == Span(DAY, at("2025-01-01T00:00"), at("2025-03-01T00:00"))


def test_an_end_that_is_no_longer_kept_in_minutes_is_covered_by_its_hour() -> None:
    assert covering(at("2026-02-19T08:10"), at("2026-02-19T10:45"), NOW) == [
        Span(HOUR, at("2026-02-19T08:00"), at("2026-02-19T11:00"))
    ]


def test_an_instant_of_a_zone_is_the_instant_that_it_is() -> None:
    shanghai = timezone(timedelta(hours=8))
    since, until = NOW - timedelta(hours=3), NOW
    assert covering(since.astimezone(shanghai), until.astimezone(shanghai), NOW) == covering(
        since, until, NOW
    )


@pytest.mark.parametrize("seed", range(300))
def test_every_range_is_covered_without_gap_by_what_is_kept(seed: int) -> None:
    chance = random.Random(seed)
    reach = chance.choice([timedelta(hours=3), timedelta(days=4), timedelta(days=200)])
    ends = sorted(NOW - reach * chance.random() for _ in range(2))
    if chance.random() < 0.3:
        ends[1] = NOW
    spans = covering(ends[0], ends[1], NOW)
    assert spans[0].since <= ends[0]
    assert spans[-1].until >= ends[1]
    assert all(one.until == other.since for one, other in pairwise(spans))
    for span in spans:
        assert span.count > 0
        assert span.since + span.count * span.resolution.length == span.until
        kept = span.resolution.kept
        assert kept is None or span.since >= NOW - kept
    assert ends[0] - spans[0].since < DAY.length
    assert spans[-1].until - ends[1] <= DAY.length
    if ends[0] > NOW - timedelta(hours=46):
        assert ends[0] - spans[0].since < MINUTE.length
        assert spans[-1].until - ends[1] < MINUTE.length


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not before until"):
        covering(NOW, NOW, NOW)
    with pytest.raises(ConfigError, match="is not before until"):
        even(NOW, NOW - timedelta(hours=1), NOW)


def test_a_naive_instant_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"until 2026-02-21T10:37:20 has no time zone"):
        covering(NOW - timedelta(days=1), NOW.replace(tzinfo=None), NOW)


# even stretches


@pytest.mark.parametrize(
    ("back", "resolution"),
    [
        (timedelta(minutes=5), MINUTE),
        (timedelta(hours=24), MINUTE),
        (timedelta(hours=26), HOUR),
        (timedelta(days=30), HOUR),
        (timedelta(days=62), HOUR),
        (timedelta(days=63), DAY),
        (timedelta(days=1_000), DAY),
    ],
)
def test_the_resolution_is_the_finest_that_gives_few_enough_points(
    back: timedelta, resolution: Resolution
) -> None:
    span = even(NOW - back, NOW, NOW)
    assert span.resolution is resolution
    assert span.count <= MOST_POINTS
    assert span.since <= NOW - back
    assert span.until >= NOW


def test_old_ranges_are_as_fine_as_what_is_kept_of_them() -> None:
    for ago, resolution in ((47, MINUTE), (49, HOUR), (24 * 89, HOUR), (24 * 91, DAY)):
        since = NOW - timedelta(hours=ago)
        assert even(since, since + timedelta(minutes=30), NOW).resolution is resolution


def test_fewer_points_are_coarser_ones() -> None:
    assert even(NOW - timedelta(hours=20), NOW, NOW, most=100).resolution is HOUR


def test_a_span_begins_and_ends_at_its_stretches() -> None:
    span = even(NOW - timedelta(days=30), NOW, NOW)
    assert span == Span(HOUR, at("2026-01-22T10:00"), at("2026-02-21T11:00"))
    assert list(span.starts)[-1] == at("2026-02-21T10:00")


def test_more_than_1500_points_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"2,160.*more than 1,500.*coarser"):
        even(NOW - timedelta(days=90) + timedelta(hours=1), NOW, NOW, resolution=HOUR)
    with pytest.raises(ConfigError, match=r"3,651 days.*shorter"):
        even(NOW - timedelta(days=3_650), NOW, NOW)


def test_a_resolution_that_is_not_kept_so_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="a minute is kept for 2 days"):
        even(NOW - timedelta(days=3), NOW - timedelta(days=2), NOW, resolution=MINUTE)


@pytest.mark.parametrize("most", [0, -1, MOST_POINTS + 1])
def test_an_impossible_number_of_points_is_refused(most: int) -> None:
    with pytest.raises(ConfigError, match="ask for 1 to 1,500"):
        even(NOW - timedelta(days=1), NOW, NOW, most=most)


# what tallies say


def test_statistics_add_up_what_ended_and_how_long_it_took() -> None:
    tallies = [
        tally(completed=3, retried=1, ran=9_000, waited=800, runs={slot(2_000): 4}, waits={30: 4}),
        tally(failed=1, cancelled=2, ran=1_000, waited=200, runs={slot(1_000): 1}, waits={30: 1}),
        tally(reclaimed=5),
    ]
    since, until = at("2026-02-21T10:30"), at("2026-02-21T10:31")
    assert summed(tallies, since, until) == Statistics(
        since=since,
        until=until,
        total=6,
        completed=3,
        failed=1,
        cancelled=2,
        retried=1,
        reclaimed=5,
        success_rate=75.0,
        avg_duration_ms=2.0,
        p50_duration_ms=value(slot(2_000)) / 1_000,
        p95_duration_ms=value(slot(2_000)) / 1_000,
        p99_duration_ms=value(slot(2_000)) / 1_000,
        avg_wait_ms=0.2,
        p50_wait_ms=value(30) / 1_000,
        p95_wait_ms=value(30) / 1_000,
        p99_wait_ms=value(30) / 1_000,
    )


def test_statistics_of_nothing_are_zeros_and_no_rates() -> None:
    assert summed([], NOW, NOW) == Statistics(since=NOW, until=NOW)


def test_a_rate_needs_tasks_that_were_decided() -> None:
    assert summed([tally(cancelled=9)], NOW, NOW).success_rate is None
    assert summed([tally(failed=9)], NOW, NOW).success_rate == 0.0


def test_points_are_dense_and_in_order() -> None:
    span = Span(MINUTE, at("2026-02-21T10:30"), at("2026-02-21T10:33"))
    tallies = [tally(at=at("2026-02-21T10:31"), completed=1), tally(completed=2, queue="r")]
    points = over_time(tallies, span)
    assert [(point.at.minute, point.statistics.completed) for point in points] == [
        (30, 2),
        (31, 1),
        (32, 0),
    ]
    assert {(point.queue, point.task_type) for point in points} == {(None, None)}
    assert all(point.statistics.since == point.at for point in points)
    assert points[2].statistics.until == at("2026-02-21T10:33")


def test_points_by_queue_or_type_have_one_of_each_for_every_stretch() -> None:
    span = Span(MINUTE, at("2026-02-21T10:30"), at("2026-02-21T10:32"))
    tallies = [
        tally(completed=1),
        tally(completed=2, task_type="u"),
        tally(completed=4, queue="r", at=at("2026-02-21T10:31")),
    ]
    by_queue = [
        (point.at.minute, point.queue, point.task_type, point.statistics.completed)
        for point in over_time(tallies, span, "queue")
    ]
    assert by_queue == [
        (30, "q", None, 3),
        (30, "r", None, 0),
        (31, "q", None, 0),
        (31, "r", None, 4),
    ]
    by_type = [
        (point.at.minute, point.task_type, point.statistics.completed)
        for point in over_time(tallies, span, "task_type")
    ]
    assert by_type == [(30, "t", 1), (30, "u", 2), (31, "t", 4), (31, "u", 0)]
    assert over_time([], span, "queue") == []


# queues


def stats(*counts: StateCount, **queue: Any) -> Stats:
    plain: dict[str, Any] = {
        "definition": QueueDefinition("q", weight=2, concurrency=3, rate=RATE, capacity=99),
        "paused": False,
        "oldest_pending_at": None,
    }
    return Stats(at=NOW, counts=counts, queues=(QueueStatus(**(plain | queue)),))


def count(state: State, number: int, task_type: str = "t") -> StateCount:
    return StateCount("q", task_type, state, number)


def test_a_queue_is_told_by_its_counts_and_what_ended_lately() -> None:
    span = recent(NOW)
    assert (span.since, span.until) == (at("2026-02-21T10:33"), at("2026-02-21T10:38"))
    tallies = [tally(completed=20, failed=5, cancelled=1), tally(completed=0, retried=9)]
    [queue] = of_queues(
        stats(
            count(State.PENDING, 13),
            count(State.PENDING, 13, "u"),
            count(State.BLOCKED, 1),
            count(State.RUNNING, 2),
            count(State.COMPLETED, 3),
            count(State.FAILED, 4),
            count(State.CANCELLED, 5),
            oldest_pending_at=NOW - timedelta(seconds=9),
        ),
        tallies,
        span.since,
    )
    assert queue == QueueStatistics(
        name="q",
        waiting={State.SCHEDULED: 0, State.BLOCKED: 1, State.PENDING: 26},
        running=2,
        completed=3,
        failed=4,
        cancelled=5,
        paused=False,
        weight=2,
        concurrency=3,
        capacity=99,
        rate=RATE,
        oldest_age=timedelta(seconds=9),
        throughput=26 / 260,
        empty_in=timedelta(seconds=260),
    )


def test_a_queue_without_pending_tasks_is_empty_now() -> None:
    [queue] = of_queues(stats(count(State.SCHEDULED, 4)), [], NOW)
    assert (queue.empty_in, queue.oldest_age, queue.throughput) == (timedelta(), None, 0.0)


def test_nobody_knows_when_a_queue_is_empty_that_stands_still() -> None:
    pending = count(State.PENDING, 4)
    [still] = of_queues(stats(pending), [], NOW - timedelta(minutes=4))
    [paused] = of_queues(
        stats(pending, paused=True), [tally(completed=9)], NOW - timedelta(minutes=4)
    )
    assert (still.empty_in, paused.empty_in) == (None, None)


def test_the_age_of_a_pending_task_is_never_negative() -> None:
    [queue] = of_queues(
        stats(count(State.PENDING, 1), oldest_pending_at=NOW + timedelta(seconds=1)), [], NOW
    )
    assert queue.oldest_age == timedelta()
