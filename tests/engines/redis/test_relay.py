"""What belongs together across the queues of a cluster is completed, whoever dies in between, once.

A caller that dies between a verb's own step and the relay is one that calls the shard itself.
"""

import asyncio
from datetime import timedelta

import pytest

from tests.engines.redis.hands import looking, opened
from tidemill.engine import ClaimRequest, Engine
from tidemill.engines.redis.arguments import Afar
from tidemill.engines.redis.cluster import ClusterEngine
from tidemill.engines.redis.relay import relay
from tidemill.engines.redis.shard import Shard
from tidemill.outcome import Cancelled, Completed, Failed, Settlement, Waiting
from tidemill.task import Claim, NewTask, State
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab, LabClock

LEASE = timedelta(seconds=30)


def shard_of(engine: Engine, queue: str) -> Shard:
    assert isinstance(engine, ClusterEngine)
    return engine._shards.of(queue)


async def settle_and_die(lab: Lab, claim: Claim, made: NewTask, *children: NewTask) -> None:
    """Settle a task of `home` as waiting, and end before anybody is told."""
    afar = Afar((made,), tuple((child.queue, child.id) for child in children))
    waiting = Waiting(tuple(child.id for child in children))
    home = shard_of(lab.engine, claim.queue)
    assert await home.settle([Settlement(claim.ref, waiting, (made,))], [afar]) == [State.BLOCKED]


async def finish(lab: Lab, *, times: int) -> list[str]:
    """Claim and complete so many tasks, one by one."""
    done = []
    for _ in range(times):
        (claim,) = await lab.claim(1)
        assert await lab.settle(claim, Completed()) is State.COMPLETED
        done.append(claim.ref.task_id)
    return done


async def test_children_of_a_settlement_whose_caller_died_run_and_their_parent_goes_on(
    spread: str,
) -> None:
    async with opened(spread) as lab, opened(spread, first=100) as other, looking(spread) as look:
        old = lab.new(queue="far")
        await lab.enqueue(old)
        parent = await lab.start(queue="home")
        made = lab.new(queue="new")
        await lab.engine.pause("new", paused=False)
        await settle_and_die(lab, parent, made, old, made)
        assert await look.ask("ZCARD", look.key("outbox", queue="home")) == 3
        assert await other.states(parent.ref.task_id, made.id) == [State.BLOCKED, None]
        assert (await other.engine.promote(10)).moved == 0
        assert not await look.ask("EXISTS", look.key("outbox", queue="home"))
        assert await other.state(made.id) is State.PENDING
        assert sorted(await finish(other, times=2)) == sorted([old.id, made.id])
        assert await finish(other, times=1) == [parent.ref.task_id]
        assert await other.claimed() == []
        assert (await other.causes(parent.ref.task_id)).count("children_final") == 1
        assert (await other.causes(made.id)).count("enqueued") == 1


async def test_a_parent_hears_of_a_child_whose_caller_died(spread: str) -> None:
    async with opened(spread) as lab, opened(spread, first=100) as other:
        child = await lab.start(queue="far")
        parent = await lab.start(queue="home")
        assert await lab.settle(parent, Waiting((child.ref.task_id,))) is State.BLOCKED
        far = shard_of(lab.engine, "far")
        assert await far.settle([Settlement(child.ref, Failed(BROKE))]) == [State.FAILED]
        assert await other.state(parent.ref.task_id) is State.BLOCKED
        await other.engine.promote(10)
        assert await finish(other, times=1) == [parent.ref.task_id]


async def test_a_child_that_ended_before_it_was_told_of_its_parent_counts(spread: str) -> None:
    async with opened(spread) as lab:
        child = await lab.start(queue="far")
        parent = await lab.start(queue="home")
        home, child_id = shard_of(lab.engine, "home"), child.ref.task_id
        waiting = Settlement(parent.ref, Waiting((child_id,)))
        afar = Afar((), (("far", child_id),))
        assert await home.settle([waiting], [afar]) == [State.BLOCKED]
        assert await lab.settle(child, Completed()) is State.COMPLETED
        assert await lab.state(parent.ref.task_id) is State.BLOCKED
        await relay(home, lambda queue: shard_of(lab.engine, queue))
        assert await lab.state(parent.ref.task_id) is State.PENDING


async def test_relays_at_the_same_time_carry_each_message_with_the_effect_of_one(
    spread: str,
) -> None:
    async with opened(spread, clock=LabClock()) as lab, looking(spread) as look:
        parents, children = [], []
        for n in range(20):
            parent = await lab.start(queue="home")
            made = lab.new(queue=f"far{n % 3}")
            await lab.engine.pause(made.queue, paused=False)
            await settle_and_die(lab, parent, made, made)
            parents.append(parent.ref.task_id)
            children.append(made.id)
        sessions = [lab.engine.session() for _ in range(4)]
        await asyncio.gather(*(session.promote(10) for session in sessions))
        for session in sessions:
            await session.close()
        assert [key for key in await look.keys() if key.endswith(":outbox")] == []
        assert sorted(await finish(lab, times=40)) == sorted(parents + children)
        told = [(entry.cause, entry.task_id) for entry in await lab.feed()]
        assert [told.count(("enqueued", child)) for child in children] == [1] * 20
        assert [told.count(("children_final", parent)) for parent in parents] == [1] * 20


async def test_a_parent_that_ended_meanwhile_stays_ended(spread: str) -> None:
    async with opened(spread) as lab, looking(spread) as look:
        parent = await lab.start(queue="home")
        made = lab.new(queue="far")
        await lab.engine.pause("far", paused=False)
        await settle_and_die(lab, parent, made, made)
        assert await shard_of(lab.engine, "home").cancel([parent.ref.task_id], "") == [
            State.CANCELLED
        ]
        await lab.engine.promote(10)
        assert await finish(lab, times=1) == [made.id]
        assert await lab.state(parent.ref.task_id) is State.CANCELLED
        assert await lab.claimed() == []
        left = [key for key in await look.keys() if ":waits:" in key or ":parents:" in key]
        assert left == []


async def test_a_reclaimed_or_cancelled_child_lets_its_parent_go_on(spread: str) -> None:
    async with opened(spread, clock=LabClock()) as lab:
        parents = []
        children = [await lab.start(queue=end, max_attempts=1) for end in ("lost", "cancelled")]
        for child in children:
            parent = await lab.start(queue="home")
            assert await lab.settle(parent, Waiting((child.ref.task_id,))) is State.BLOCKED
            parents.append(parent.ref.task_id)
        assert await lab.engine.cancel([children[1].ref.task_id]) == [State.RUNNING]
        assert await lab.settle(children[1], Cancelled()) is State.CANCELLED
        assert await lab.states(*parents) == [State.BLOCKED, State.PENDING]
        lab.clock.advance(LEASE + TICK)
        (lost,) = await lab.engine.reclaim(10)
        assert lost.state is State.FAILED
        assert await lab.states(*parents) == [State.PENDING, State.PENDING]


# Claims over several queues


def request_of(lab: Lab, limit: int) -> ClaimRequest:
    return ClaimRequest(
        claim_id=lab.claim_id(),
        worker="w1",
        queues=None,
        task_types=frozenset({"work"}),
        limit=limit,
    )


async def test_a_repeated_claim_never_exceeds_its_limit_in_all(spread: str) -> None:
    async with opened(spread) as lab, opened(spread, first=1000) as other:
        for queue in "abcde":
            for _ in range(10):
                await lab.add(queue=queue)
        request = request_of(lab, 7)
        claims = await lab.engine.claim(request)
        assert len(claims) == 7
        for queue in "fgh":
            await lab.add(queue=queue)
        for engine in (lab.engine, other.engine):
            repeated = await engine.claim(request)
            assert {claim.ref for claim in repeated} == {claim.ref for claim in claims}
        await lab.settle(claims[0], Completed())
        assert len(await other.engine.claim(request)) == 6
        assert len(await lab.found(states=frozenset({State.RUNNING}))) == 6


@pytest.mark.parametrize("reached", [1, 2, 3])
async def test_a_claim_that_was_cut_short_is_completed_by_what_it_had_taken(
    spread: str, reached: int
) -> None:
    async with opened(spread) as lab, opened(spread, first=1000) as other:
        for queue in "abc":
            for _ in range(10):
                await lab.add(queue=queue)
        request = request_of(lab, 6)
        queues = "abc"[:reached]
        for queue in queues:  # the caller got so far, and died
            taken = await shard_of(lab.engine, queue).claim(
                ClaimRequest(
                    claim_id=request.claim_id,
                    worker="w1",
                    queues=None,
                    task_types=frozenset({"work"}),
                    limit=2,
                )
            )
            assert len(taken.claims) == 2
        repeated = await other.engine.claim(request)
        assert len(repeated) == 2 * reached
        assert {claim.queue for claim in repeated} == {*queues}
        assert len(await other.found(states=frozenset({State.RUNNING}))) == 2 * reached


async def test_concurrent_repetitions_of_a_claim_take_it_once(spread: str) -> None:
    async with opened(spread) as lab:
        for queue in "ab":
            for _ in range(20):
                await lab.add(queue=queue)
        request = request_of(lab, 10)
        sessions = [lab.engine.session() for _ in range(3)]
        await asyncio.gather(*(session.claim(request) for session in sessions))
        for session in sessions:
            await session.close()
        assert len(await lab.found(states=frozenset({State.RUNNING}))) <= 10
