"""`app.prune`: removing old final tasks, as `CleanupOldTasks` of the task service does."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import Hand, Recorder
from tests.app.scenes import MakeScene, scenes
from tests.engines.makers import ENGINES
from tidemill import ConfigError, Retention, State, Tidemill
from tidemill.clock import from_micros
from tidemill.engine import TaskQuery
from tidemill.outcome import Cancelled, Completed, Failed
from tidemill.testing.builders import BROKE

DAY = timedelta(days=1)
FOR_EVER = Retention(None, None, None)


@pytest.fixture
def run(app: Tidemill, hand: Hand) -> Callable[..., Any]:
    """Enqueues one task of a type and ends it; answers its id."""

    @app.task(name="report", retention=FOR_EVER)
    def report() -> None: ...

    @app.task(name="mail", retention=FOR_EVER)
    def mail() -> None: ...

    functions = {"report": report, "mail": mail}

    async def run(outcome: Any = None, of: str = "report") -> str:
        handle = await functions[of].enqueue()
        claim = await hand.take()
        await hand.settle(claim, outcome or Completed())
        return handle.id

    return run


async def left(app: Tidemill) -> set[str]:
    page = await (await app.engine()).find(TaskQuery(limit=1_000))
    return {task.id for task in page.tasks}


async def test_completed_tasks_of_more_than_thirty_days_are_removed(
    app: Tidemill, hand: Hand, run: Callable[..., Any]
) -> None:
    for _ in range(3):
        await run()
    await hand.pass_time(20 * DAY)
    young = await run()
    await hand.pass_time(10 * DAY)
    assert await app.prune(timedelta(hours=30 * 24), states={State.COMPLETED}) == 3
    assert await left(app) == {young}


async def test_age_counts_from_the_end_of_a_task(
    app: Tidemill, hand: Hand, run: Callable[..., Any]
) -> None:
    await app.function("report").enqueue()
    await hand.pass_time(40 * DAY)
    await hand.settle(await hand.take(), Completed())
    await hand.pass_time(10 * DAY)
    assert await app.prune(11 * DAY) == 0
    assert await app.prune(10 * DAY) == 1


async def test_only_the_states_and_types_that_are_named_are_removed(
    app: Tidemill, hand: Hand, run: Callable[..., Any]
) -> None:
    completed, failed = await run(), await run(Failed(BROKE))
    cancelled, mail = await run(Cancelled("no")), await run(of="mail")
    await hand.pass_time(DAY)
    assert await app.prune(DAY, states=[State.CANCELLED, State.FAILED]) == 2
    assert await left(app) == {completed, mail}
    assert await app.prune(DAY, task_types=["mail"]) == 1
    assert await left(app) == {completed}
    assert {failed, cancelled}.isdisjoint(await left(app))


async def test_live_tasks_stay_however_old(
    app: Tidemill, hand: Hand, run: Callable[..., Any]
) -> None:
    function = app.function("report")
    waiting = [(await function.enqueue()).id for _ in range(2)]
    await hand.take()
    await hand.pass_time(400 * DAY)
    assert await app.prune(timedelta()) == 0
    assert await left(app) == set(waiting)


async def test_what_ended_this_instant_is_older_than_nothing(
    app: Tidemill, run: Callable[..., Any]
) -> None:
    await run()
    assert await app.prune(timedelta()) == 1


async def test_no_state_is_no_task(app: Tidemill, run: Callable[..., Any]) -> None:
    await run()
    assert await app.prune(timedelta(), states=()) == 0


async def test_many_are_removed_in_steps_of_at_most_500(
    app: Tidemill, engine: Recorder, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task(retention=FOR_EVER)
    def many() -> None: ...

    await many.enqueue_many([{} for _ in range(1_203)])
    for claim in await hand.claim(1_203):
        await hand.settle(claim, Completed())
    removed: list[int] = []
    remove = engine.remove

    async def seen(ids: Any) -> list[bool]:
        removed.append(len(ids))
        return await remove(ids)

    monkeypatch.setattr(engine, "remove", seen)
    assert await app.prune(timedelta()) == 1_203
    assert removed == [500, 500, 203]
    assert await left(app) == set()


async def test_statistics_of_pruned_tasks_are_kept(
    app: Tidemill, hand: Hand, run: Callable[..., Any]
) -> None:
    await run()
    since = from_micros(hand.clock.now())
    assert await app.prune(timedelta()) == 1
    assert (await app.statistics(since, since + DAY)).completed == 1


async def test_live_states_and_negative_ages_are_refused(app: Tidemill) -> None:
    with pytest.raises(ConfigError, match="pending tasks cannot be pruned"):
        await app.prune(DAY, states={State.PENDING, State.COMPLETED})
    with pytest.raises(ConfigError, match="duration of 0 or more"):
        await app.prune(-DAY)


@pytest.fixture(params=ENGINES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeScene]:
    """Opens a scene on each kind of engine."""
    with scenes(request.param, tmp_path) as opened:
        yield opened


async def test_every_engine_prunes_many(scene: MakeScene) -> None:
    async with scene() as at:
        await at.end_many(700, Completed())
        failed = await at.end_many(2, Failed(BROKE))
        at.clock.advance(3 * DAY)
        young = await at.end_many(600, Completed())
        assert await at.app.prune(2 * DAY, states={State.COMPLETED}) == 700
        assert await left(at.app) == {*failed, *young}
