"""What the SQLite engine keeps of schedules, and that it goes when they go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidemill.clock import VirtualClock
from tidemill.engine import FIRES_KEPT, SCHEDULE, Fire, Fired, Firing, Mark, Put
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect
from tidemill.ids import fire_id
from tidemill.testing import new_task

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _firing(schedule: str, at: datetime) -> Firing:
    return Firing(schedule, at, new_task(fire_id(schedule, at)))


async def _fires(engine: SqliteEngine, schedule: str) -> list[datetime]:
    [mark] = (await engine.marks([schedule], FIRES_KEPT)).marks
    return [fire.at for fire in mark.fires]


def _rows(path: Path) -> tuple[int, int]:
    on = connect(path, "standard", write=False)
    counts = [int(on.execute(f"SELECT count(*) FROM tidemill_{t}").get) for t in ("mark", "fire")]
    on.close()
    return counts[0], counts[1]


async def test_only_the_last_fires_take_room(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db", clock=VirtualClock(START + 1_000 * SECOND))
    instants = [START + n * SECOND for n in range(3 * FIRES_KEPT + 7)]
    for first in range(0, len(instants), 10):
        await engine.fire([_firing("s", at) for at in instants[first : first + 10]])
    assert await _fires(engine, "s") == instants[: -FIRES_KEPT - 1 : -1]
    assert _rows(tmp_path / "a.db") == (1, FIRES_KEPT)
    await engine.close()


async def test_a_schedule_made_again_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db", clock=VirtualClock(START + 1_000 * SECOND))
    await engine.fire([_firing("s", START), _firing("s", START + SECOND)])
    await engine.put([Put(SCHEDULE, "s", b"{}"), Put(SCHEDULE, "s", None)])
    assert _rows(tmp_path / "a.db") == (0, 0)
    assert await engine.fire([_firing("s", START)]) == [Fired.FIRED]
    assert await _fires(engine, "s") == [START]
    await engine.close()


async def test_restored_fires_make_way_for_new_ones(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "a.db", clock=VirtualClock(START + 1_000 * SECOND))
    old = tuple(
        Fire(at=START - n * SECOND, recorded_at=START, outcome=Fired.MISSED, missed=n)
        for n in range(FIRES_KEPT)
    )
    await engine.restore([], marks=[Mark("s", START, 9, old)])
    new = [START + n * SECOND for n in (1, 2, 3)]
    await engine.fire([_firing("s", at) for at in new])
    [mark] = (await engine.marks(["s"], FIRES_KEPT)).marks
    assert (mark.at, mark.count) == (new[-1], 12)
    assert [fire.at for fire in mark.fires[:3]] == new[::-1]
    assert mark.fires[3:] == old[:-3]
    await engine.close()
