"""Rules about the history: docs/engine.md, section 17."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tidemill.clock import from_micros, micros
from tidemill.engine import HistoryQuery, Resolution, Tally
from tidemill.histogram import slot
from tidemill.outcome import Cancelled, Completed, Failed, Released, Retried, Snoozed, Waiting
from tidemill.task import DEFAULT_QUEUE, Claim, Retention
from tidemill.testing.builders import BROKE, PLAIN_TYPE
from tidemill.testing.lab import TICK, Lab

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
AGE = timedelta(days=400)


def _start(lab: Lab, resolution: Resolution) -> datetime:
    """When the present stretch began."""
    return from_micros(lab.clock.now() // micros(resolution.length) * micros(resolution.length))


async def _read(lab: Lab, resolution: Resolution = Resolution.MINUTE, **query: Any) -> list[Tally]:
    fields: dict[str, Any] = {
        "since": lab.now(-AGE),
        "until": lab.now(AGE),
        "resolution": resolution,
    }
    return await lab.engine.history(HistoryQuery(**(fields | query)))


async def _tally(lab: Lab, resolution: Resolution = Resolution.MINUTE) -> Tally:
    found = await _read(lab, resolution)
    assert len(found) == 1
    return found[0]


def _counts(tally: Tally) -> tuple[int, int, int, int, int]:
    return (tally.completed, tally.failed, tally.cancelled, tally.retried, tally.reclaimed)


async def a_completed_task_is_counted_with_its_times(lab: Lab) -> None:
    """17.1, 17.2: in its minute, hour and day, with how long it ran and waited."""
    await lab.add()
    lab.clock.advance(SECOND / 10)
    [claim] = await lab.claim()
    lab.clock.advance(SECOND / 5)
    await lab.settle(claim, Completed())
    for resolution in Resolution:
        assert await _tally(lab, resolution) == Tally(
            resolution=resolution,
            at=_start(lab, resolution),
            queue=DEFAULT_QUEUE,
            task_type=PLAIN_TYPE,
            completed=1,
            ran=200_000,
            waited=100_000,
            runs={slot(200_000): 1},
            waits={slot(100_000): 1},
        )


async def every_end_is_counted_as_what_it_was(lab: Lab) -> None:
    """17.1: completed, failed, cancelled, retried, reclaimed."""
    claims = [await lab.start() for _ in range(3)]
    await lab.settle(claims[0], Completed())
    await lab.settle(claims[1], Failed(BROKE))
    await lab.settle(claims[2], Cancelled("enough"))
    waiting = await lab.add(delay=HOUR)
    await lab.engine.cancel([waiting])
    await lab.settle(await lab.start(), Retried(BROKE, delay=HOUR))
    tally = await _tally(lab, Resolution.DAY)
    assert _counts(tally) == (1, 1, 2, 1, 0)
    assert sum(tally.runs.values()) == sum(tally.waits.values()) == 3


async def an_attempt_taken_back_is_counted_without_times(lab: Lab) -> None:
    """17.1, 17.2: reclaimed when it may run again, failed when not."""
    again, last = await lab.start(), None
    await lab.lose(again)
    last = await lab.take(again.ref.task_id)
    await lab.settle(last, Completed())
    end = await lab.start(max_attempts=1)
    await lab.lose(end)
    totals = [_counts(tally) for tally in await _read(lab, Resolution.DAY)]
    assert [sum(each) for each in zip(*totals, strict=True)] == [1, 1, 0, 0, 1]
    assert sum(sum(tally.runs.values()) for tally in await _read(lab, Resolution.DAY)) == 1


async def what_neither_ends_nor_fails_is_not_counted(lab: Lab) -> None:
    """17.1: snoozed, released and waiting attempts."""
    claim = await lab.start()
    await lab.settle(claim, Released())
    claim = await lab.take(claim.ref.task_id)
    await lab.settle(claim, Waiting(()))
    await lab.settle(await lab.take(claim.ref.task_id), Snoozed(HOUR))
    assert await _read(lab) == []


async def expired_tasks_count_as_cancelled(lab: Lab) -> None:
    """17.1: however a task ended."""
    await lab.add(expires_at=lab.now(SECOND), delay=HOUR)
    lab.clock.advance(SECOND)
    await lab.engine.promote(10)
    assert _counts(await _tally(lab)) == (0, 0, 1, 0, 0)


async def a_last_attempt_that_is_not_tried_again_counts_as_failed(lab: Lab) -> None:
    """17.1: Retried without attempts left."""
    await lab.settle(await lab.start(max_attempts=1), Retried(BROKE))
    tally = await _tally(lab)
    assert _counts(tally) == (0, 1, 0, 0, 0)
    assert sum(tally.runs.values()) == 1


async def tallies_come_by_time_then_queue_then_type(lab: Lab) -> None:
    """Section 17: one for each stretch, queue and task type."""
    for queue in ("b", "a"):
        await lab.settle(await lab.start(queue=queue), Completed())
    await lab.settle(
        (await _started(lab, "a", "other")),
        Completed(),
    )
    lab.clock.advance(timedelta(minutes=1))
    await lab.settle(await lab.start(queue="a"), Completed())
    found = await _read(lab)
    places = [(tally.queue, tally.task_type) for tally in found]
    assert places[:3] == sorted([("a", PLAIN_TYPE), ("a", "other"), ("b", PLAIN_TYPE)])
    assert places[3:] == [("a", PLAIN_TYPE)]
    assert found[3].at - found[0].at == timedelta(minutes=1)


async def _started(lab: Lab, queue: str, task_type: str) -> Claim:
    await lab.add(queue=queue, task_type=task_type)
    [claim] = await lab.claim(queues=(queue,), task_types=frozenset({task_type}))
    return claim


async def a_query_names_time_queues_and_types(lab: Lab) -> None:
    """Section 17: `since` belongs to it, `until` does not."""
    await lab.settle(await lab.start(queue="a"), Completed())
    await lab.settle(await lab.start(queue="b"), Completed())
    at = _start(lab, Resolution.MINUTE)
    assert [each.queue for each in await _read(lab, queues=frozenset({"b"}))] == ["b"]
    assert await _read(lab, task_types=frozenset({"other"})) == []
    assert len(await _read(lab, since=at)) == 2
    assert await _read(lab, since=at + TICK) == []
    assert await _read(lab, until=at) == []
    assert len(await _read(lab, until=at + TICK)) == 2


async def history_outlives_its_tasks(lab: Lab) -> None:
    """17.3: kept when tasks are pruned or removed."""
    claim = await lab.start(retention=Retention(timedelta(0), None, None))
    await lab.settle(claim, Completed())
    assert await lab.engine.prune(10) == 1
    assert (await _tally(lab)).completed == 1


async def minutes_and_hours_are_forgotten_in_time_and_days_stay(lab: Lab) -> None:
    """17.3: minutes for 48 hours, hours for 90 days."""
    await lab.settle(await lab.start(), Completed())
    lab.clock.advance(timedelta(hours=48))
    await lab.engine.prune(10)
    assert len(await _read(lab)) == 1
    lab.clock.advance(timedelta(minutes=2))
    await lab.engine.prune(10)
    assert [len(await _read(lab, each)) for each in Resolution] == [0, 1, 1]
    lab.clock.advance(timedelta(days=90))
    await lab.engine.prune(10)
    assert [len(await _read(lab, each)) for each in Resolution] == [0, 0, 1]


async def a_stale_settlement_is_not_counted(lab: Lab) -> None:
    """Sections 4 and 17: settling twice is settling once."""
    claim = await lab.start()
    await lab.settle(claim, Completed())
    await lab.settle(claim, Completed())
    assert (await _tally(lab)).completed == 1


async def tallies_are_answered_together(lab: Lab) -> None:
    """17.4: one for each stretch, the sum of what would be answered otherwise; also of old ones."""
    for minute in range(3):
        for queue in "ab"[: minute + 1]:
            claim = await _started(lab, queue, "other" if minute == 2 else PLAIN_TYPE)
            lab.clock.advance(timedelta(seconds=minute + 1))
            await lab.settle(claim, Failed(BROKE) if queue == "b" else Completed())
        await _same_together(lab)
        lab.clock.advance(timedelta(minutes=1 if minute else 90))
    await _same_together(lab)
    await _same_together(lab, queues=frozenset({"b"}))
    await _same_together(lab, task_types=frozenset({"other"}))
    await lab.settle(await lab.start(queue="c"), Completed())
    await _same_together(lab)


async def _same_together(lab: Lab, **query: frozenset[str]) -> None:
    for resolution in Resolution:
        apart = await _read(lab, resolution, **query)
        together = await _read(lab, resolution, together=True, **query)
        assert [each.at for each in together] == sorted({each.at for each in apart})
        for each in together:
            parts = [part for part in apart if part.at == each.at]
            assert (each.queue, each.task_type, each.resolution) == ("", "", resolution)
            for name in ("completed", "failed", "ran", "waited"):
                assert getattr(each, name) == sum(getattr(part, name) for part in parts)
            for name in ("runs", "waits"):
                counted = Counter[int]()
                for part in parts:
                    counted.update(getattr(part, name))
                assert getattr(each, name) == counted


async def what_is_restored_into_a_past_stretch_is_answered_together(lab: Lab) -> None:
    """17.4 and section 18."""
    await lab.settle(await lab.start(queue="a"), Completed())
    [tally] = await _read(lab)
    lab.clock.advance(timedelta(hours=2))
    await lab.settle(await lab.start(queue="a"), Completed())
    more = [msgspec.structs.replace(tally, queue=queue, completed=5) for queue in "abc"]
    await lab.engine.restore([], tallies=more)
    await _same_together(lab)
    [first, _] = await _read(lab, together=True)
    assert first.completed == 11
