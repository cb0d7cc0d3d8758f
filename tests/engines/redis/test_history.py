"""The history: counted as Python counts, read and dropped in parts, whatever waits to be added."""

from collections import Counter
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from tests.engines.redis.hands import looking, opened
from tidemill.clock import from_micros, micros
from tidemill.engine import ClaimRequest, HistoryQuery, Resolution, Tally
from tidemill.engines.redis import history as reading
from tidemill.histogram import LAST_SLOT, slot
from tidemill.outcome import Completed, Settlement
from tidemill.testing.lab import Lab, LabClock

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LONG = timedelta(days=1000)


async def read(lab: Lab, resolution: Resolution = Resolution.MINUTE, **query: Any) -> list[Tally]:
    fields: dict[str, Any] = {"since": lab.now(-2 * LONG), "until": lab.now(DAY)}
    return await lab.engine.history(HistoryQuery(resolution=resolution, **(fields | query)))


async def complete(lab: Lab, times: int) -> None:
    """Enqueue, claim and settle so many, one by one."""
    for _ in range(times):
        await lab.settle(await lab.start(), Completed())


def minute_of(lab: Lab, minutes_ago: int, queue: str = "q", task_type: str = "t") -> Tally:
    """What one minute of the past may have counted."""
    length = micros(MINUTE)
    return Tally(
        resolution=Resolution.MINUTE,
        at=from_micros((lab.clock.now() // length - minutes_ago) * length),
        queue=queue,
        task_type=task_type,
        completed=minutes_ago,
        runs={1: minutes_ago, 2: 1},  # which a script packs in another way
        waits={},
    )


async def test_durations_fall_into_the_slots_that_python_finds(single: str) -> None:
    random = Random(1)
    edges = {int(2 ** (n / 4)) + by for n in range(LAST_SLOT + 8) for by in (-1, 0, 1)}
    durations = sorted(edges | {random.randrange(1 << random.randrange(1, 45)) for _ in range(200)})
    async with opened(single, clock=LabClock()) as lab:
        ids = [await lab.add() for _ in durations]
        claims = await lab.claim(len(ids), lease=2 * LONG)
        assert len(claims) == len(ids)
        begun = lab.clock.now()
        for claim, duration in zip(claims, durations, strict=True):
            lab.clock.advance(timedelta(microseconds=begun + duration - lab.clock.now()))
            await lab.settle(claim, Completed())
        runs: Counter[int] = Counter()
        tallies = await read(lab, Resolution.DAY)
        for each in tallies:
            runs.update(each.runs)
        assert runs == Counter(map(slot, durations))
        assert max(runs) == LAST_SLOT
        assert sum(each.ran for each in tallies) == sum(durations)


async def test_what_ended_is_told_at_once_but_added_up_later(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        waiting = look.key("ended")
        await complete(lab, 3)
        assert await look.ask("LLEN", waiting) == 3
        (tally,) = await read(lab)
        assert tally.completed == 3
        assert not await look.ask("EXISTS", waiting)
        await complete(lab, 250)
        assert await look.ask("LLEN", waiting) < 100
        for resolution in Resolution:
            assert [each.completed for each in await read(lab, resolution)] == [253]


async def test_a_batch_of_many_types_is_counted_whole(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        types = [f"type{n:03}" for n in range(150)]
        await lab.enqueue(*(lab.new(task_type=name) for name in (*types, *types)))
        claims = await lab.engine.claim(
            ClaimRequest(
                claim_id=lab.claim_id(),
                worker="w1",
                queues=None,
                task_types=frozenset(types),
                limit=300,
            )
        )
        await lab.engine.settle([Settlement(claim.ref, Completed()) for claim in claims])
        assert [(each.task_type, each.completed) for each in await read(lab)] == [
            (name, 2) for name in types
        ]


async def test_a_long_history_is_read_in_parts(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(url, clock=LabClock()) as lab:
        kept = [
            minute_of(lab, ago, queue, task_type)
            for ago in (*range(900, 600, -2), *range(500, 0, -1))
            for queue, task_type in (("a", "t"), ("a", "t-1"), ("a-1", "t"), ("b", "t"))
        ]
        await lab.engine.restore([], tallies=kept)
        for at_once in (2_000, 7, 1):
            monkeypatch.setattr(reading, "TALLIES_AT_ONCE", at_once)
            assert await read(lab) == kept
        assert await read(lab, queues=frozenset({"a", "none"})) == [
            each for each in kept if each.queue == "a"
        ]
        assert await read(lab, task_types=frozenset({"t-1"}), queues=frozenset({"a-1"})) == []
        since, until = kept[40].at, kept[-40].at
        assert await read(lab, since=since, until=until) == [
            each for each in kept if since <= each.at < until
        ]


async def test_old_history_is_dropped_in_parts_and_leaves_no_key(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        before = await look.keys()
        kept = [minute_of(lab, ago) for ago in range(450, 0, -1)]
        await lab.engine.restore([], tallies=kept)
        lab.clock.advance(3 * DAY)
        for left in (250, 50, 0):
            assert await lab.engine.prune(0) == 0
            assert await read(lab) == kept[len(kept) - left :]
        made = await look.keys() - before
        assert [key for key in made if "tallies" in key or "stretches" in key] == []


async def test_what_waits_to_be_added_is_not_older_than_it_may_be(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        await complete(lab, 1)
        lab.clock.advance(3 * DAY)
        await lab.engine.prune(10)
        assert await read(lab) == []
        assert [each.completed for each in await read(lab, Resolution.HOUR)] == [1]


async def test_a_restored_tally_gives_way_to_what_waits_to_be_added(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        await complete(lab, 2)
        (counted,) = await read(lab)
        await complete(lab, 1)
        await lab.engine.restore([], tallies=[msgspec.structs.replace(counted, completed=99)])
        assert [each.completed for each in await read(lab)] == [3]


async def test_a_restored_tally_goes_on_being_counted(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        restored = minute_of(lab, 0, "default", "work")
        await lab.engine.restore([], tallies=[msgspec.structs.replace(restored, completed=4)])
        await complete(lab, 1)
        (tally,) = await read(lab)
        assert (tally.completed, tally.runs, tally.waits) == (5, {0: 1, 1: 0, 2: 1}, {0: 1})


def added_up(tallies: list[Tally]) -> dict[Any, int]:
    sums: Counter[Any] = Counter()
    for each in tallies:
        sums[each.at] += each.completed
    return dict(sums)


async def test_the_total_of_a_stretch_is_kept_once_a_later_one_has_begun(single: str) -> None:
    async with opened(single, clock=LabClock()) as lab, looking(single) as look:
        totals = look.key("totals", "minute")
        for expected in range(3):
            await complete(lab, 2)
            await read(lab)  # what waits is added up
            assert await look.ask("HLEN", totals) == expected
            lab.clock.advance(MINUTE)
        together = await read(lab, together=True)
        assert [each.completed for each in together] == [2, 2, 2]
        assert {(each.queue, each.task_type) for each in together} == {("", "")}


async def test_totals_are_right_whatever_comes_into_past_stretches(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        lab.clock.advance(DAY)
        for _ in range(3):
            await complete(lab, 1)
            lab.clock.advance(MINUTE)
        for minutes_ago in (2, 7, 1, 3):
            kept = [minute_of(lab, minutes_ago, queue) for queue in ("default", "q")]
            await lab.engine.restore([], tallies=kept)
            for _ in range(2):
                together = await read(lab, together=True)
                assert {each.at: each.completed for each in together} == added_up(await read(lab))
        filtered = await read(lab, together=True, queues=frozenset({"q"}))
        assert {each.at: each.completed for each in filtered} == added_up(
            await read(lab, queues=frozenset({"q"}))
        )


async def test_totals_go_with_their_stretches(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        await complete(lab, 1)
        lab.clock.advance(MINUTE)
        await complete(lab, 1)
        await read(lab)
        assert await look.ask("HLEN", look.key("totals", "minute")) == 1
        lab.clock.advance(3 * DAY)
        await lab.engine.prune(10)
        assert not await look.ask("EXISTS", look.key("totals", "minute"))
        assert await read(lab, together=True) == []
