"""What a fault of a server leaves: nothing lost, nothing doubled, and a worker that works again."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from tests.engines.redis.hands import opened
from tests.engines.redis.site import SOON, at_work
from tests.servers.cluster import agreed, cluster
from tests.servers.faults import Direction, Swallow
from tests.servers.guarded import guarded
from tests.servers.proxy import Proxy
from tests.servers.server import KINDS, LASTING, Server, server
from tests.servers.waiting import until
from tidemill import LeaseLost
from tidemill.engine import ClaimRequest, Fired, Firing, Hold, Put
from tidemill.errors import EngineUnavailable
from tidemill.outcome import Completed, Failed
from tidemill.task import State, UniqueKey
from tidemill.testing.builders import BROKE

HOUR = timedelta(hours=1)
LEASE = timedelta(seconds=30)


@pytest.fixture(params=KINDS)
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with a file that outlives it."""
    with server(tmp_path, kind=request.param, config=LASTING) as made:
        yield made


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Server]:
    """The same, where the kind of server makes no difference."""
    with server(tmp_path, config=LASTING) as made:
        yield made


async def restarted(own: Server, *, kill: bool) -> None:
    await asyncio.to_thread(own.kill if kill else own.stop)
    await asyncio.to_thread(own.start)


# Restart


@pytest.mark.parametrize("kill", [False, True])
async def test_a_restart_keeps_leases_waiting_and_delayed_tasks(own: Server, kill: bool) -> None:
    async with opened(own.url) as lab:
        held = await lab.start(priority=9)
        failed = await lab.start(priority=8)
        await lab.settle(failed, Failed(BROKE))
        delayed = await lab.add(delay=HOUR, unique=UniqueKey("k"))
        waiting = [await lab.add() for _ in range(3)]
        fired = Firing("s", (await lab.engine.stats()).at, lab.new(queue="other"))
        assert await lab.engine.fire([fired]) == [Fired.FIRED]
        await lab.engine.put([Put("kind", "key", b"body")])
        before = await lab.find(), await lab.feed()
        await restarted(own, kill=kill)
        assert (await lab.find(), await lab.feed()) == before
        assert await lab.claimed(2, queues=("default",)) == waiting[:2]
        assert await lab.extend(held) is Hold.HELD
        assert await lab.settle(held, Completed(b"done")) is State.COMPLETED
        assert await lab.engine.fire([fired]) == [Fired.ALREADY]
        (again,) = await lab.enqueue(lab.new(unique=UniqueKey("k")))
        assert (again.task_id, again.duplicate) == (delayed, True)
        promoted = await lab.engine.promote(100)
        assert promoted.moved == 0
        assert promoted.next_in is not None
        assert HOUR - 10 * LEASE < promoted.next_in <= HOUR


async def test_a_claim_whose_answer_a_crash_swallowed_is_answered_after_the_restart(
    own: Server,
) -> None:
    async with opened(own.url) as lab:
        ids = [await lab.add() for _ in range(3)]
        request = ClaimRequest(
            claim_id=lab.claim_id(),
            worker="w1",
            queues=None,
            task_types=frozenset({"work"}),
            limit=2,
        )
        claims = await lab.engine.claim(request)
        await restarted(own, kill=True)
        assert await lab.engine.claim(request) == claims
        assert await lab.claimed() == ids[2:]


@pytest.mark.parametrize("kill", [False, True])
async def test_an_idle_worker_works_again_after_a_restart(own: Server, kill: bool) -> None:
    async with at_work(own.url) as site:
        await restarted(own, kill=kill)
        await site.works(1)
        assert site.ran == [0, 1]


async def test_a_task_that_runs_over_a_restart_is_settled_once(own: Server) -> None:
    async with at_work(own.url) as site:
        handle = await site.begin(1)
        await asyncio.to_thread(own.kill)
        site.go.set()  # it ends while nobody can hear so
        await asyncio.to_thread(own.start)
        assert await handle.result(SOON) == 1
        assert (await handle.get()).attempt == 1
        assert site.facts.of(LeaseLost) == []


async def test_a_worker_works_on_a_server_that_came_back_empty(tmp_path: Path) -> None:
    with server(tmp_path) as made:
        async with at_work(made.url) as site:
            lost = await site.begin(1)
            await asyncio.to_thread(made.kill)
            await asyncio.to_thread(made.start)
            await site.works(2)
            event = await site.facts.first(LeaseLost)
            assert event.task_id == lost.id
            await site.works(3)


async def test_a_worker_works_again_when_a_node_of_its_cluster_is_back(tmp_path: Path) -> None:
    with cluster(tmp_path, config=LASTING) as nodes:
        async with at_work(f"redis+cluster://127.0.0.1:{nodes[0].port}") as site:
            running = await site.begin(1)
            for number, node in enumerate(nodes):
                await asyncio.to_thread(node.kill)
                await asyncio.to_thread(node.start)
                await asyncio.to_thread(agreed, nodes)
                await site.works(2 + number)
            site.go.set()
            assert await running.result(SOON) == 1
            assert site.ran == [0, 1, 2, 3, 4]
            assert site.facts.of(LeaseLost) == []


async def test_a_worker_waits_for_a_server_that_loads_its_data(tmp_path: Path) -> None:
    with server(tmp_path) as made:
        async with at_work(made.url) as site:
            made.command("EVAL", "for i = 1, 3000 do redis.call('SET', 'k' .. i, 'x') end", 0)
            made.command("SAVE")
            await asyncio.to_thread(made.kill)
            slowly = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
            starting = asyncio.create_task(asyncio.to_thread(made.start, *slowly))
            await asyncio.to_thread(until, lambda: is_loading(made), "it loads")
            with pytest.raises(EngineUnavailable, match="LOADING"):
                await site.quick.enqueue(1)
            await starting
            await site.works(2)


def is_loading(made: Server) -> bool:
    try:
        made.command("PING")
    except ResponseError as error:
        return "LOADING" in str(error)
    return False


async def test_a_server_that_stands_still_for_a_while_costs_nothing_but_that_time(
    valkey: Server,
) -> None:
    async with at_work(valkey.url) as site:
        running = await site.begin(1)
        valkey.freeze()
        enqueuing = asyncio.create_task(site.quick.enqueue(2))
        await asyncio.sleep(3)  # the fault itself
        assert not enqueuing.done()
        valkey.thaw()
        assert await (await enqueuing).result(SOON) == 2
        site.go.set()
        assert await running.result(SOON) == 1
        assert site.ran == [0, 1, 2]
        assert site.facts.of(LeaseLost) == []


# Role changes


async def test_a_primary_that_is_a_replica_for_a_while_is_used_again(own: Server) -> None:
    async with at_work(own.url) as site:
        own.command("REPLICAOF", "127.0.0.1", 1)
        with pytest.raises(EngineUnavailable, match="READONLY"):
            await site.quick.enqueue(1)
        own.command("REPLICAOF", "NO", "ONE")
        await site.works(2)


@pytest.mark.parametrize("kill", [False, True])
async def test_a_worker_follows_a_failover(tmp_path: Path, kill: bool) -> None:
    with guarded(tmp_path) as watched:
        async with at_work(f"{watched.url}?replicas=1") as site:
            running = await site.begin(1)
            await asyncio.to_thread(watched.fail_over, kill=kill)
            if kill:
                await asyncio.to_thread(watched.mend)
            await site.works(2)
            site.go.set()
            assert await running.result(SOON) == 1
            assert site.ran == [0, 1, 2]


# Half-open connections


@pytest.mark.parametrize("direction", ["requests", "replies"])
async def test_half_open_connections_cost_fifteen_seconds_at_most(
    valkey: Server, direction: Direction
) -> None:
    def blocked() -> bool:
        return valkey.info()["blocked_clients"] == "1"

    async with Proxy(valkey.port) as proxy, opened(valkey.url) as lab:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with opened(url, first=100) as half, opened(url) as reader, at_work(url) as site:
            await half.claimed()
            cursor = await reader.end_of_feed()
            reading = asyncio.create_task(reader.engine.feed(cursor, 10, HOUR))
            await asyncio.to_thread(until, blocked, "the feed is read")
            await half.engine.wait(("other",), HOUR)  # it listens
            waiting = asyncio.create_task(half.engine.wait(("other",), HOUR))
            proxy.fault = Swallow(direction)
            ids = [await lab.add(queue="other") for _ in range(2)]
            new = half.new(queue="third")
            async with asyncio.timeout(15):
                calls = asyncio.gather(
                    half.enqueue(new), half.claimed(1, queues=("other",)), waiting, reading
                )
                await proxy.struck(4)
                proxy.heal()
                (enqueued,), claimed, _, page = await calls
            assert (enqueued.task_id, claimed) == (new.id, ids[:1])
            assert page.entries[0].task_id == ids[0]
            await site.works(1)
            assert await lab.claimed(queues=("third",)) == [new.id]
            assert await lab.claimed(queues=("other",)) == ids[1:]
