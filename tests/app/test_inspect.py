"""`app.inspect()` over a real worker, on every engine."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.queues.conftest import Open, _no_url_from_outside, clock, kind, make_engine, real_place
from tests.queues.test_workers import Gate, node
from tests.worker.facts import PATIENCE
from tidemill import QueueNotFound, State
from tidemill.worker import heartbeat

__all__ = ["_no_url_from_outside", "clock", "kind", "make_engine", "real_place"]


class Item(msgspec.Struct):
    number: int


async def test_the_fleet_is_seen_as_it_is(
    real_place: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "TELL_EVERY", timedelta(seconds=0.02))
    async with real_place() as here:
        app = here.app()
        gate = Gate(app, "q")

        @app.batch(Item, size=10, within=3600, name="collected", queue="parts")
        async def collected(items: list[Item]) -> None: ...

        inspect = app.inspect()
        async with node(app) as running:
            [one] = await gate.task.enqueue_many([{}])
            [later] = await gate.task.options(delay=3600, queue="other").enqueue_many([{}])
            [part] = await collected.enqueue_many([{"number": 1}])
            await gate.until(inside=1)
            async with asyncio.timeout(PATIENCE):
                while [each.id for each in await inspect.reserved()] != [part.id]:  # noqa: ASYNC110  # the worker tells the engine only
                    await asyncio.sleep(0)

            [active] = await inspect.active()
            assert (active.id, active.worker, active.attempt) == (one.id, running.name, 1)
            assert await inspect.active("parts") == []
            assert await inspect.reserved("q") == []
            assert [each.id for each in await inspect.scheduled()] == [later.id]
            assert await inspect.scheduled("q") == []

            stats = await inspect.stats()
            assert stats.counts[State.RUNNING] == 2
            assert stats.counts[State.SCHEDULED] == 1
            assert (stats.workers, stats.lost, stats.running, stats.used) == (1, 0, 2, 2)
            assert stats.memory > 0
            assert [each.name for each in (await inspect.stats("q")).queues] == ["q"]
            with pytest.raises(QueueNotFound):
                await inspect.stats("nowhere")

            [worker] = await inspect.workers("q")
            assert worker.worker.name == running.name
            types = {each.name: each for each in await inspect.registered()}
            assert types["stay"].workers == (running.name,)
            assert (types["stay"].isolation, types["stay"].queue) == ("loop", "q")
            assert types["collected"].batch_size == 10
            await gate.let_go(1)


async def test_what_a_limit_cuts_off_is_the_oldest(real_place: Open) -> None:
    async with real_place() as here:
        app = here.app()
        gate = Gate(app, "q")
        handles = [await gate.task.options(delay=3600 - n).enqueue() for n in range(3)]
        found = await app.inspect().scheduled(limit=2)
        assert [each.id for each in found] == [handles[2].id, handles[1].id]


async def test_a_type_that_nobody_runs_is_registered_all_the_same(real_place: Open) -> None:
    async with real_place() as here:
        app: Any = here.app()
        Gate(app, "q")
        [found] = await app.inspect().registered()
        assert (found.name, found.workers, found.max_attempts) == ("stay", (), 4)
