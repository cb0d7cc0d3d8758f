"""The SQLite engine's history: exact whoever writes, read in order, trimmed in small amounts."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import msgspec
import pytest

from tidemill.clock import VirtualClock, micros
from tidemill.engine import ClaimRequest, HistoryQuery, Resolution, Tally
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect
from tidemill.engines.sqlite.ends import Ended
from tidemill.engines.sqlite.history import TRIMMED_AT_ONCE, Tallies, history
from tidemill.engines.sqlite.rows import Row
from tidemill.engines.sqlite.schema import migrate
from tidemill.histogram import slot
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement
from tidemill.testing import new_task

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def _started(engine: SqliteEngine) -> Settlement:
    ids = IdMaker()
    await engine.enqueue([new_task(ids.make())])
    [claim] = await engine.claim(
        ClaimRequest(
            claim_id=ids.make(),
            worker="w",
            queues=None,
            task_types=frozenset({"work"}),
            limit=1,
        )
    )
    return Settlement(claim.ref, Completed())


async def _complete(engine: SqliteEngine) -> None:
    await engine.settle([await _started(engine)])


async def _read(
    engine: SqliteEngine, resolution: Resolution, since: datetime = START
) -> list[Tally]:
    query = HistoryQuery(since=since, until=since + 400 * DAY, resolution=resolution)
    return await engine.history(query)


async def test_what_several_processes_end_adds_up(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    engines = [SqliteEngine(tmp_path / "a.db", clock=clock) for _ in range(2)]
    for n in (0, 1, 0, 0, 1, 1, 0):
        await _complete(engines[n])
    for resolution in Resolution:
        [tally] = await _read(engines[0], resolution)
        assert (tally.completed, sum(tally.runs.values())) == (7, 7)
    for engine in engines:
        await engine.close()


async def test_each_minute_counts_for_itself_and_for_its_hour(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    for _ in range(3):
        await _complete(engine)
        await _complete(engine)
        clock.advance(MINUTE)
    assert [tally.completed for tally in await _read(engine, Resolution.MINUTE)] == [2, 2, 2]
    assert [tally.completed for tally in await _read(engine, Resolution.HOUR)] == [6]
    await engine.close()


def test_only_the_tallies_of_now_are_remembered(tmp_path: Path) -> None:
    on = connect(tmp_path / "a.db", "standard", write=True)
    migrate(on)
    tallies, ended = Tallies(), Ended()
    ended.counts["completed"] = 1
    for minute in range(50):
        tallies.add(on, minute * micros(MINUTE), {("q", "t"): ended})
        assert len(tallies._kept) == len(Resolution)
    on.close()


async def test_what_was_rolled_back_is_not_counted(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db", clock=VirtualClock(START))
    await _complete(engine)
    settlement = await _started(engine)

    async def work() -> None:
        async with engine.transaction() as tx:
            await engine.settle([settlement], tx=tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert [tally.completed for tally in await _read(engine, Resolution.DAY)] == [1]
    await engine.settle([settlement])
    assert [tally.completed for tally in await _read(engine, Resolution.DAY)] == [2]
    await engine.close()


async def test_a_settlement_on_the_callers_own_connection_is_counted(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db", clock=VirtualClock(START))
    await _complete(engine)
    settlement = await _started(engine)
    on = apsw.Connection(str(tmp_path / "a.db"))
    on.execute("BEGIN IMMEDIATE")
    await engine.settle([settlement], tx=on)
    on.execute("COMMIT")
    on.close()
    await _complete(engine)
    assert [tally.completed for tally in await _read(engine, Resolution.DAY)] == [3]
    await engine.close()


async def test_tallies_come_in_order_however_they_were_written(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    tallies = [
        Tally(
            resolution=Resolution.HOUR,
            at=START + n * HOUR,
            queue=queue,
            task_type=task_type,
            completed=n + 1,
            runs={n: 1, 172: 70_000},
            waits={0: n + 1},
        )
        for n in range(60)
        for queue in ("a", "b.10", "b.9", "ü")
        for task_type in ("mail", "work")
    ]
    shuffled = random.Random(4).sample(tallies, len(tallies))
    await engine.restore([], tallies=shuffled)
    assert await _read(engine, Resolution.HOUR) == tallies
    await engine.close()


async def test_an_empty_tally_is_read_as_it_is(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db")
    tally = Tally(resolution=Resolution.DAY, at=START, queue="q", task_type="t")
    await engine.restore([], tallies=[tally])
    assert await _read(engine, Resolution.DAY) == [tally]
    await engine.close()


async def test_a_restored_tally_does_not_replace_what_the_same_commit_counts(
    tmp_path: Path,
) -> None:
    engine = SqliteEngine(tmp_path / "a.db", clock=VirtualClock(START))
    settlement = await _started(engine)
    tally = Tally(
        resolution=Resolution.DAY, at=START, queue="default", task_type="work", completed=50
    )
    async with engine.transaction():  # both wait for its end, and are then one commit
        calls = [
            asyncio.create_task(engine.settle([settlement])),
            asyncio.create_task(engine.restore([], tallies=[tally])),
        ]
        await asyncio.sleep(0)
    await asyncio.gather(*calls)
    assert [each.completed for each in await _read(engine, Resolution.DAY)] == [1]
    await engine.close()


async def test_old_tallies_are_trimmed_in_small_amounts(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    extra = 7
    tallies = [
        Tally(resolution=resolution, at=START + n * MINUTE, queue="q", task_type="t", completed=1)
        for resolution in Resolution
        for n in range(TRIMMED_AT_ONCE + extra)
    ]
    await engine.restore([], tallies=tallies)
    clock.advance(100 * DAY)
    left = []
    for _ in range(3):
        await engine.prune(10)
        left.append([len(await _read(engine, resolution)) for resolution in Resolution])
    everything = TRIMMED_AT_ONCE + extra
    assert left == [[extra, extra, everything], [0, 0, everything], [0, 0, everything]]
    await engine.close()


def _row(*, due: int, started_at: int) -> Row:
    text = f'[1, "", 1, 1, 4, 5, {due}, 0, 4, 4, 1, 1, 0, 0, 0, 0, 1, 0, {started_at}, null, null'
    return msgspec.json.decode(f'{text}, null, null, null, null, null, ""]', type=Row)


def test_times_are_counted_in_the_slots_of_the_histogram(tmp_path: Path) -> None:
    on = connect(tmp_path / "a.db", "standard", write=True)
    migrate(on)
    chance, ended = random.Random(7), Ended()
    borders = [2**n + more for n in range(50) for more in (-1, 0, 1)]
    times = [*borders, *(int(chance.lognormvariate(12, 3)) for _ in range(2_000)), 1 << 61]
    chance.shuffle(times)
    for time in times:
        ended.time(time + 9, [_row(due=9, started_at=9)])
    ended.time(5, [_row(due=3, started_at=2)])  # started early: it had not waited
    on.execute("BEGIN")
    Tallies().add(on, 0, {("q", "t"): ended})
    [tally] = history(
        on,
        HistoryQuery(
            since=datetime(1970, 1, 1, tzinfo=UTC),
            until=datetime(1970, 1, 2, tzinfo=UTC),
            resolution=Resolution.DAY,
        ),
    )
    on.close()
    assert tally.runs == Counter(map(slot, [*times, 3]))
    assert tally.waits == {0: len(times) + 1}
    assert (tally.ran, tally.waited) == (sum(times) + 3, 0)
