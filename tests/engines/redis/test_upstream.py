"""Tasks that come after those of other queues, on a cluster: nobody is waited for in vain or twice.

A caller that dies between a verb's own step and the relay is one that calls the shard itself.
"""

from datetime import timedelta

import msgspec
import pytest

from tests.engines.redis.hands import looking, opened
from tidemill.engine import Engine, Retrial
from tidemill.engines.redis.arguments import Afar
from tidemill.engines.redis.cluster import ClusterEngine
from tidemill.engines.redis.shard import Shard
from tidemill.outcome import Completed, Failed, Outcome, Settlement
from tidemill.task import After, NewTask, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import Lab, LabClock

MINUTE = timedelta(minutes=1)


def shard_of(engine: Engine, queue: str) -> Shard:
    assert isinstance(engine, ClusterEngine)
    return engine._shards.of(queue)


async def end(lab: Lab, *task_ids: str, outcome: Outcome | None = None) -> None:
    """Claim everything, which must be these, and settle it."""
    claims = await lab.claim()
    assert sorted(claim.ref.task_id for claim in claims) == sorted(task_ids)
    await lab.engine.settle([Settlement(claim.ref, outcome or Completed()) for claim in claims])


def graph(lab: Lab) -> list[NewTask]:
    """A task, two after it, and one after these, each in another queue."""
    first = lab.new(queue="a")
    middle = [lab.new(queue=queue, after=After((first.id,))) for queue in "bc"]
    last = lab.new(queue="a", after=After(tuple(task.id for task in middle)))
    return [first, *middle, last]


@pytest.mark.parametrize("backwards", [False, True])
async def test_a_graph_over_queues_runs_in_its_order(spread: str, backwards: bool) -> None:
    async with opened(spread) as lab, looking(spread) as look:
        first, *middle, last = tasks = graph(lab)
        await lab.enqueue(*(tasks[::-1] if backwards else tasks))
        assert (await lab.task(last.id)).awaiting == 2
        await end(lab, first.id)
        await end(lab, *(task.id for task in middle))
        await end(lab, last.id)
        for task in (*middle, last):
            assert (await lab.task(task.id)).after == task.after
            assert (await lab.causes(task.id)).count("upstream_final") == 1
        left = [key for key in await look.keys() if ":waits:" in key or ":parents:" in key]
        assert left == []


async def test_a_failure_is_carried_with_how_it_ended(spread: str) -> None:
    async with opened(spread) as lab:
        first, *middle, last = graph(lab)
        skipped = lab.new(queue="d", after=After((middle[0].id,), "skip"))
        goes_on = lab.new(queue="d", after=After((skipped.id, last.id), "continue"))
        await lab.enqueue(first, *middle, last, skipped, goes_on)
        await end(lab, first.id, outcome=Failed(BROKE))
        assert await lab.states(middle[0].id, middle[1].id, last.id) == [State.FAILED] * 3
        error = (await lab.task(last.id)).error
        assert error is not None
        assert error.message.startswith(f"task {middle[0].id} failed")
        assert (await lab.task(skipped.id)).reason == "skipped"
        await end(lab, goes_on.id)


async def test_those_that_are_over_when_they_are_asked_for_count_as_they_ended(spread: str) -> None:
    async with opened(spread) as lab:
        done, failed = await lab.add(queue="a"), await lab.add(queue="b")
        await lab.settle(await lab.take(done, queues=("a",)), Completed())
        await lab.settle(await lab.take(failed, queues=("b",)), Failed(BROKE))
        good = await lab.add(queue="c", after=After((done,)))
        bad = await lab.add(queue="c", after=After((done, failed)))
        assert await lab.states(good, bad) == [State.PENDING, State.FAILED]


async def test_a_settlement_enqueues_a_graph_over_queues(spread: str) -> None:
    async with opened(spread) as lab:
        start = await lab.start(queue="home")
        inner = lab.new(queue="far")
        near = lab.new(queue="home", after=After((inner.id,)))
        last = lab.new(queue="other", after=After((near.id, inner.id)))
        await lab.settle(start, Completed(), enqueue=(last, near, inner))
        for task in (inner, near, last):
            await end(lab, task.id)


async def test_a_settlement_whose_caller_died_enqueues_its_graph_all_the_same(spread: str) -> None:
    async with opened(spread) as lab, opened(spread, first=100) as other:
        start = await lab.start(queue="home")
        inner = lab.new(queue="far")
        near = lab.new(queue="home", after=After((inner.id,)))
        await lab.engine.pause("far", paused=False)
        home = shard_of(lab.engine, "home")
        settlement = Settlement(start.ref, Completed(), (inner, near))
        await home.settle([settlement], [Afar((inner,), (), {inner.id: "far"})])
        assert await other.states(near.id, inner.id) == [State.BLOCKED, None]
        await other.engine.promote(10)
        await end(other, inner.id)
        await end(other, near.id)


async def test_who_waits_hears_of_an_end_whose_caller_died(spread: str) -> None:
    async with opened(spread) as lab, opened(spread, first=100) as other:
        start = await lab.start(queue="far")
        last = await lab.add(queue="home", after=After((start.ref.task_id,)))
        far = shard_of(lab.engine, "far")
        assert await far.settle([Settlement(start.ref, Failed(BROKE))]) == [State.FAILED]
        assert await other.state(last) is State.BLOCKED
        await other.engine.promote(10)
        assert await other.state(last) is State.FAILED


async def test_a_retry_asks_again_in_other_queues(spread: str) -> None:
    async with opened(spread) as lab:
        first, *middle, last = graph(lab)
        await lab.enqueue(first, *middle, last)
        await end(lab, first.id, outcome=Failed(BROKE))
        retried = (first.id, *(task.id for task in middle), last.id)
        for task_id in retried:
            assert await lab.engine.retry([task_id]) == [Retrial.RETRIED]
        assert await lab.states(*retried[1:]) == [State.BLOCKED] * 3
        await end(lab, first.id)
        await end(lab, *(task.id for task in middle))
        await end(lab, last.id)


async def test_a_restored_graph_waits_again_over_queues(spread: str) -> None:
    async with (
        opened(spread, clock=LabClock()) as lab,
        opened(f"{spread}x", clock=LabClock(), first=100) as other,
    ):
        first, *middle, last = graph(lab)
        await lab.enqueue(first, *middle, last)
        kept = [msgspec.structs.replace(task) for task in await lab.find()]
        assert await other.engine.restore(kept) == [True] * 4
        assert (await other.task(last.id)).awaiting == 2
        await end(other, first.id)
        await end(other, *(task.id for task in middle))
        await end(other, last.id)


async def test_a_task_may_come_after_many_of_other_queues(spread: str) -> None:
    async with opened(spread) as lab:
        many = [lab.new(queue="ab"[n % 2]) for n in range(1_000)]
        last = lab.new(queue="c", after=After(tuple(task.id for task in many)))
        await lab.enqueue(last, *many)
        assert (await lab.task(last.id)).awaiting == 1_000
        while claims := await lab.claim(200):
            await lab.engine.settle([Settlement(claim.ref, Completed()) for claim in claims])
        assert await lab.state(last.id) is State.COMPLETED
        assert (await lab.causes(last.id)).count("upstream_final") == 1
