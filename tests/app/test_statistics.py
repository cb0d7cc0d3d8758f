"""`app.statistics`, `app.statistics_over_time` and `app.queue_statistics` on every engine."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.app.scenes import MILLISECOND, MakeScene, scenes
from tests.engines.makers import ENGINES
from tidemill import ConfigError, QueueNotFound, Resolution, State
from tidemill.outcome import Cancelled, Completed, Failed, Retried
from tidemill.testing.builders import BROKE

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeScene]:
    """Opens a scene on each kind of engine."""
    with scenes(request.param, tmp_path) as opened:
        yield opened


async def test_statistics_of_the_last_seven_days(scene: MakeScene) -> None:
    """As `GetTaskStatistics(startTime, endTime)` of the task service."""
    async with scene() as at:
        await at.end()  # too long ago
        at.clock.advance(8 * DAY)
        begun = at.now
        for outcome in (Completed(), Completed(), Completed(), Failed(BROKE), Cancelled("no")):
            await at.end(outcome, run=100 * MILLISECOND)
            at.clock.advance(DAY)
        end = at.now
        found = await at.app.statistics(end - 7 * DAY, end)
        assert (found.total, found.completed, found.failed, found.cancelled) == (5, 3, 1, 1)
        assert found.success_rate == 75.0
        assert found.avg_duration_ms == 100.0
        assert found.p99_duration_ms == pytest.approx(100, rel=0.091)
        assert found.avg_wait_ms == 1.0
        assert found.since <= end - 7 * DAY < begun
        assert found.until >= end


async def test_statistics_count_attempts_that_others_followed(scene: MakeScene) -> None:
    async with scene() as at:
        since = at.now
        await at.end(Retried(BROKE))
        await at.hand.settle(await at.hand.take(), Completed())
        found = await at.app.statistics(since, at.now + MINUTE)
        assert (found.total, found.completed, found.retried) == (1, 1, 1)
        assert found.success_rate == 100.0


async def test_percentiles_tell_the_slow_from_the_usual(scene: MakeScene) -> None:
    async with scene() as at:
        since = at.now
        for number in range(100):
            await at.end(run=HOUR if number >= 97 else 20 * MILLISECOND)
        found = await at.app.statistics(since, at.now)
        assert found.p50_duration_ms == pytest.approx(20, rel=0.091)
        assert found.p95_duration_ms == pytest.approx(20, rel=0.091)
        assert found.p99_duration_ms == pytest.approx(3_600_000, rel=0.091)


async def test_a_range_is_exact_to_the_minute_while_minutes_are_kept(scene: MakeScene) -> None:
    async with scene() as at:
        at.clock.advance(30 * HOUR)
        first = at.now
        for _ in range(4):
            await at.end()
            at.clock.advance(HOUR)
        found = await at.app.statistics(first + MINUTE, first + 2 * HOUR + MINUTE)
        assert found.completed == 2
        assert found.since == first + MINUTE


async def test_statistics_of_one_queue_or_type(scene: MakeScene) -> None:
    async with scene() as at:
        since = at.now
        await at.end()
        await at.end(of="send")
        await at.end(of="send")
        ask = at.app.statistics
        assert (await ask(since, at.now)).completed == 3
        assert (await ask(since, at.now, queue="mail")).completed == 2
        assert (await ask(since, at.now, task_type="render")).completed == 1
        assert (await ask(since, at.now, queue="mail", task_type="render")).total == 0


async def test_statistics_over_time_have_a_point_for_each_minute(scene: MakeScene) -> None:
    async with scene() as at:
        since = at.now
        await at.end()
        at.clock.advance(3 * MINUTE)
        await at.end(Failed(BROKE))
        points = await at.app.statistics_over_time(since, at.now)
        assert [point.at for point in points] == [since + n * MINUTE for n in range(4)]
        assert [point.statistics.total for point in points] == [1, 0, 0, 1]
        assert [point.statistics.success_rate for point in points] == [100.0, None, None, 0.0]


async def test_statistics_over_a_month_are_by_the_hour(scene: MakeScene) -> None:
    async with scene() as at:
        for _ in range(5):
            await at.end()
            at.clock.advance(5 * DAY)
        points = await at.app.statistics_over_time(at.now - 30 * DAY, at.now)
        assert {later.at - point.at for point, later in pairwise(points)} == {HOUR}
        assert sum(point.statistics.completed for point in points) == 5
        by_day = await at.app.statistics_over_time(at.now - 30 * DAY, at.now, points=31)
        assert len(by_day) == 31
        assert sum(point.statistics.completed for point in by_day) == 5


async def test_statistics_over_time_by_queue(scene: MakeScene) -> None:
    async with scene() as at:
        since = at.now
        await at.end()
        await at.end(of="send")
        points = await at.app.statistics_over_time(
            since, at.now, by="queue", resolution=Resolution.DAY
        )
        assert [(point.queue, point.statistics.completed) for point in points] == [
            ("images", 1),
            ("mail", 1),
        ]
        mail = await at.app.statistics_over_time(since, at.now, by="task_type", queue="mail")
        assert [(point.task_type, point.statistics.completed) for point in mail] == [("send", 1)]


async def test_ranges_that_make_no_sense_are_refused(scene: MakeScene) -> None:
    async with scene() as at:
        with pytest.raises(ConfigError, match="is not before until"):
            await at.app.statistics(at.now, at.now - DAY)
        with pytest.raises(ConfigError, match="more than 1,500"):
            await at.app.statistics_over_time(
                at.now - 40 * HOUR, at.now, resolution=Resolution.MINUTE
            )


async def test_queue_statistics_tell_how_each_queue_stands(scene: MakeScene) -> None:
    """As `GetQueueStats` of the task service."""
    async with scene() as at:
        for _ in range(4):
            await at.end()
        await at.end(Failed(BROKE))
        at.clock.advance(MINUTE / 2)
        render = at.app.function("render")
        await render.enqueue_many([{}, {}])
        await render.options(delay=DAY).enqueue()
        await at.hand.take()
        await at.app.function("send").enqueue()
        engine = await at.app.engine()
        await engine.pause("mail", paused=True)
        at.clock.advance(MINUTE)
        images, mail = await at.app.queue_statistics()
        assert images.waiting == {State.SCHEDULED: 1, State.BLOCKED: 0, State.PENDING: 1}
        assert (images.running, images.completed, images.failed, images.cancelled) == (1, 4, 1, 0)
        assert images.oldest_age == MINUTE
        seconds = 4 * 60 + at.now.second + at.now.microsecond / 1e6
        assert images.throughput == pytest.approx(5 / seconds)
        assert images.empty_in is not None
        assert images.empty_in.total_seconds() == pytest.approx(seconds / 5, abs=1e-3)
        assert (mail.name, mail.paused, mail.throughput, mail.empty_in) == ("mail", True, 0.0, None)
        assert await at.app.queue_statistics("mail") == [mail]
        with pytest.raises(QueueNotFound, match="letters"):
            await at.app.queue_statistics("letters")


async def test_throughput_forgets_what_ended_more_than_five_minutes_ago(scene: MakeScene) -> None:
    async with scene() as at:
        await at.end()
        at.clock.advance(4 * MINUTE)
        [queue] = await at.app.queue_statistics()
        assert queue.throughput > 0
        at.clock.advance(MINUTE)
        [queue] = await at.app.queue_statistics()
        assert queue.throughput == 0
