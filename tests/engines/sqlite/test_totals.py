"""The totals of stretches that are over: exact whoever wrote and restored, dropped in time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tidemill.clock import VirtualClock
from tidemill.engine import ClaimRequest, HistoryQuery, Resolution, Tally
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect
from tidemill.engines.sqlite.history import TRIMMED_AT_ONCE
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement
from tidemill.testing import new_task

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def _started(engine: SqliteEngine, queue: str = "a") -> Settlement:
    await engine.enqueue([new_task(queue=queue)])
    request = ClaimRequest(
        claim_id=IdMaker().make(),
        worker="w",
        queues=None,
        task_types=frozenset({"work"}),
        limit=1,
    )
    [claim] = await engine.claim(request)
    return Settlement(claim.ref, Completed())


async def _complete(engine: SqliteEngine, queue: str = "a") -> None:
    await engine.settle([await _started(engine, queue)])


async def _completed(engine: SqliteEngine, resolution: Resolution) -> list[int]:
    query = HistoryQuery(
        since=START - 400 * DAY, until=START + 400 * DAY, resolution=resolution, together=True
    )
    return [tally.completed for tally in await engine.history(query)]


def _kept(path: Path) -> dict[str, int]:
    on = connect(path, "standard", write=False)
    text = on.execute(
        "SELECT json_group_object(resolution, n) FROM"
        " (SELECT resolution, count(*) AS n FROM tidemill_total GROUP BY resolution)"
    ).get
    on.close()
    return msgspec.json.decode(text, type=dict[str, int])


async def test_a_stretch_is_added_up_when_the_next_one_begins(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    for queue in ("a", "b", "a"):
        await _complete(engine, queue)
    assert _kept(tmp_path / "a.db") == {}
    assert await _completed(engine, Resolution.MINUTE) == [3]
    clock.advance(MINUTE)
    await _complete(engine)
    assert _kept(tmp_path / "a.db") == {"minute": 1}
    clock.advance(HOUR)
    await _complete(engine)
    assert _kept(tmp_path / "a.db") == {"minute": 2, "hour": 1}
    assert await _completed(engine, Resolution.MINUTE) == [3, 1, 1]
    assert await _completed(engine, Resolution.HOUR) == [4, 1]
    assert await _completed(engine, Resolution.DAY) == [5]
    await engine.close()


async def test_what_several_processes_end_is_in_one_total(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    engines = [SqliteEngine(tmp_path / "a.db", clock=clock) for _ in range(2)]
    for minute in range(4):
        for n in (0, 1, 1, 0):
            await _complete(engines[n], f"q{minute}")
        clock.advance(MINUTE)
    assert _kept(tmp_path / "a.db") == {"minute": 3}
    assert await _completed(engines[0], Resolution.MINUTE) == [4, 4, 4, 4]
    for engine in engines:
        await engine.close()


async def test_a_total_that_was_rolled_back_is_made_again(tmp_path: Path) -> None:
    clock = VirtualClock(START)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    await _complete(engine)
    clock.advance(MINUTE)
    settlement = await _started(engine)

    async def work() -> None:
        async with engine.transaction() as tx:
            await engine.settle([settlement], tx=tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert _kept(tmp_path / "a.db") == {}
    await engine.settle([settlement])
    assert _kept(tmp_path / "a.db") == {"minute": 1}
    assert await _completed(engine, Resolution.MINUTE) == [1, 1]
    await engine.close()


async def test_what_is_restored_is_in_the_totals_of_stretches_that_are_over(
    tmp_path: Path,
) -> None:
    clock = VirtualClock(START)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    await _complete(engine)
    clock.advance(2 * MINUTE)
    await _complete(engine)
    tally = Tally(resolution=Resolution.MINUTE, at=START, queue="a", task_type="work", completed=10)
    at = msgspec.structs.replace
    await engine.restore(
        [],
        tallies=[
            tally,  # there is one, which stays
            at(tally, queue="b"),
            at(tally, at=START + MINUTE),
            at(tally, at=START + 2 * MINUTE, queue="b"),  # still open
            at(tally, at=START + 5 * MINUTE),  # of a store whose clock was ahead
        ],
    )
    assert _kept(tmp_path / "a.db") == {"minute": 2}
    assert await _completed(engine, Resolution.MINUTE) == [11, 10, 11, 10]
    clock.advance(3 * MINUTE)
    await _complete(engine)
    clock.advance(MINUTE)
    await _complete(engine)
    assert _kept(tmp_path / "a.db") == {"minute": 4}
    assert await _completed(engine, Resolution.MINUTE) == [11, 10, 11, 11, 1]
    await engine.close()


async def test_totals_go_with_their_stretches(tmp_path: Path) -> None:
    clock = VirtualClock(START + 2 * DAY)
    engine = SqliteEngine(tmp_path / "a.db", clock=clock)
    pairs = 2
    stretches = TRIMMED_AT_ONCE // pairs + 7
    tallies = [
        Tally(
            resolution=Resolution.MINUTE,
            at=START + n * MINUTE,
            queue=f"q{pair}",
            task_type="t",
            completed=1,
        )
        for n in range(stretches)
        for pair in range(pairs)
    ]
    await engine.restore([], tallies=tallies)
    assert _kept(tmp_path / "a.db") == {"minute": stretches}
    clock.advance(DAY)
    await engine.prune(10)
    assert await _completed(engine, Resolution.MINUTE) == [2] * 7
    await engine.prune(10)
    assert await _completed(engine, Resolution.MINUTE) == []
    assert _kept(tmp_path / "a.db") == {}
    await engine.close()
