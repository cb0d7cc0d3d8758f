"""Schedules and the tasks that they fire: overlaps, the harness, and a node of real loops."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.worker.facts import Facts, begun, final, working
from tidemill import (
    Context,
    EngineRefused,
    Fired,
    Node,
    Overlap,
    ScheduleFired,
    State,
    TaskCompleted,
    Tidemill,
    VirtualClock,
    WorkerStarted,
)
from tidemill.engine import Document, Engine
from tidemill.engines.memory import MemoryEngine
from tidemill.scheduler import Scheduler
from tidemill.testing import Harness

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def bare() -> Tidemill:
    return Tidemill("memory://")


class TestHarness:
    async def test_declared_schedules_fire_as_time_passes(self, bare: Tidemill) -> None:
        seen: list[int] = []

        @bare.task(name="count")
        async def count(number: int) -> None:
            seen.append(number)

        bare.schedule("daily", count, cron="30 8 * * *", payload={"number": 1})
        bare.schedule("hourly", count, every=HOUR, payload={"number": 2})
        async with Harness(bare) as harness:
            await harness.advance(hours=24)
            assert seen == []
            await harness.drain()
            assert sorted(seen) == [1] + [2] * 24

    @pytest.mark.parametrize("url", ["memory://", "sqlite:///tasks.db"])
    async def test_each_instant_runs_before_the_next_comes(
        self, bare: Tidemill, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        at: list[timedelta] = []

        @bare.task(name="note")
        async def note() -> None:
            at.append(harness.now() - start)

        bare.schedule("a", note, every=10 * MINUTE, overlap="skip")
        async with Harness(bare, url=url) as harness:
            start = harness.now()
            await harness.run_for(minutes=35)
            await bare.schedules.create("b", note, at=harness.now() + MINUTE)
            await harness.run_for(minutes=10)
        assert at == [minutes * MINUTE for minutes in (10, 20, 30, 36, 40)]

    async def test_inline_a_fired_task_has_run_when_time_has_passed(self, bare: Tidemill) -> None:
        seen: list[str] = []

        @bare.task(name="note")
        async def note() -> None:
            seen.append("ran")

        bare.schedule("a", note, every=MINUTE)
        async with Harness(bare, inline=True) as harness:
            await harness.advance(minutes=2)
            assert len(seen) == 2
            assert await (await bare.schedules.run("a")).state() is State.COMPLETED


class TestOverlap:
    """Two instants come while the task of the first runs, a third one when it has ended."""

    async def played(
        self, app: Tidemill, clock: VirtualClock, overlap: Overlap
    ) -> AsyncIterator[list[State]]:
        """The states of the fired tasks, oldest first: after two instants, and at the end."""
        go_on = asyncio.Event()

        @app.task(name="slow")
        async def slow(ctx: Context) -> None:
            await ctx.progress(1)
            await go_on.wait()

        engine, scheduler = await app.engine(), Scheduler(app)
        await app.schedules.create("a", slow, every=MINUTE, overlap=overlap)
        async with working(app):
            clock.advance(MINUTE)
            await scheduler.catch_up()
            [first] = await app.schedules.history("a")
            assert first.task_id
            await begun(engine, first.task_id)
            clock.advance(MINUTE)
            await scheduler.catch_up()
            [second, _] = await app.schedules.history("a")
            assert second.task_id
            if overlap is Overlap.ALLOW:
                await begun(engine, second.task_id)
            yield await self.states(app)
            go_on.set()
            await final(engine, first.task_id)
            await final(engine, second.task_id)
            clock.advance(MINUTE)
            await scheduler.catch_up()
            [third, *_] = await app.schedules.history("a")
            assert third.task_id
            await final(engine, third.task_id)
            yield await self.states(app)

    async def states(self, app: Tidemill) -> list[State]:
        ids = [fire.task_id for fire in await app.schedules.history("a") if fire.task_id]
        return [await app.handle(each).state() for each in reversed(dict.fromkeys(ids))]

    @pytest.mark.parametrize(
        ("overlap", "during", "fires"),
        [
            (Overlap.ALLOW, [State.RUNNING, State.RUNNING], [Fired.FIRED] * 3),
            (Overlap.SKIP, [State.RUNNING], [Fired.FIRED, Fired.SKIPPED, Fired.FIRED]),
            (Overlap.QUEUE, [State.RUNNING, State.BLOCKED], [Fired.FIRED] * 3),
        ],
    )
    async def test_an_instant_whose_predecessor_runs_follows_the_policy(
        self,
        app: Tidemill,
        clock: VirtualClock,
        overlap: Overlap,
        during: list[State],
        fires: list[Fired],
    ) -> None:
        seen = [states async for states in self.played(app, clock, overlap)]
        assert seen == [during, [State.COMPLETED] * fires.count(Fired.FIRED)]
        assert [fire.outcome for fire in await app.schedules.history("a")][::-1] == fires


class TestNode:
    async def test_a_node_fires_and_runs(self, bare: Tidemill) -> None:
        @bare.task(name="quick")
        async def quick() -> None: ...

        bare.use_engine(MemoryEngine())
        bare.schedule("a", quick, every=1)
        facts, node = Facts(bare), Node(bare)
        running = asyncio.ensure_future(node.run())
        event = await facts.first(ScheduleFired)
        await facts.first(TaskCompleted, lambda done: done.task_id == event.task_id)
        node.drain("the test is over")
        await running

    async def test_a_node_without_tasks_fires_and_leaves_them_to_others(
        self, bare: Tidemill
    ) -> None:
        @bare.task(name="quick")
        async def quick() -> None: ...

        bare.use_engine(MemoryEngine())
        bare.schedule("a", quick, every=1)
        facts, node = Facts(bare), Node(bare, tasks=False)
        running = asyncio.ensure_future(node.run())
        event = await facts.first(ScheduleFired)
        assert await bare.handle(event.task_id).state() is State.PENDING
        assert facts.of(WorkerStarted) == []
        assert (node.running, node.draining, node.recycle) == (0, False, False)
        await asyncio.to_thread(node.drain, "the test is over")
        await running
        assert node.draining

    async def test_a_scheduler_that_fails_ends_its_node_with_the_error(
        self, bare: Tidemill
    ) -> None:
        class Refusing(MemoryEngine):
            def session(self) -> Engine:
                return self

            async def documents(self, kind: str, prefix: str = "") -> list[Document]:
                raise EngineRefused("no documents here")

        bare.use_engine(Refusing())
        for tasks in (True, False):
            with pytest.raises(EngineRefused, match="no documents here"):
                await Node(bare, tasks=tasks).run()
