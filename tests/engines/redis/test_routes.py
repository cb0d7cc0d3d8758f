"""Which server is asked: the primary of a service, or the node of a cluster that has the key."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.engines.redis.samples import COUNT_AGAIN, ECHO, linked
from tests.servers.cluster import cluster
from tests.servers.guarded import Guarded, guarded
from tests.servers.server import KINDS, Server, server
from tests.servers.waiting import until
from tidemill.engines.redis.address import Place
from tidemill.engines.redis.routes import slot_of
from tidemill.errors import EngineRefused, EngineUnavailable

# Roots whose slots are spread over three nodes.
ROOTS = [f"tidemill:{{q{n}}}:" for n in range(30)]


def test_a_slot_is_the_checksum_of_what_the_first_braces_hold() -> None:
    assert slot_of("123456789") == 0x31C3  # the check value of CRC16/XMODEM, below 16384
    assert slot_of("a{q}b") == slot_of("{q}") == slot_of("q")
    assert slot_of("{}q") != slot_of("q")
    assert slot_of("{q") != slot_of("q")


# Sentinel


@pytest.fixture(scope="module", params=KINDS)
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("watched"), kind=request.param) as made:
        yield made


@pytest.mark.parametrize("kill", [False, True])
async def test_a_failover_is_followed(watched: Guarded, kill: bool) -> None:
    async with linked(watched.url) as link:
        await link.call(COUNT_AGAIN, "r")
        before = watched.primary
        promoted = await asyncio.to_thread(watched.fail_over, kill=kill)
        started = time.monotonic()
        await link.call(COUNT_AGAIN, "r")
        assert time.monotonic() - started < 10
        assert promoted is not before
        assert list(await link.each("ECHO", "x")) == [Place("127.0.0.1", promoted.port)]
    await asyncio.to_thread(watched.mend)


async def test_a_server_that_is_no_primary_is_not_used(watched: Guarded) -> None:
    """The sentinels name a server a little before and a little after it is the primary."""
    async with linked(watched.url) as link:
        watched.primary.command("REPLICAOF", "127.0.0.1", watched.replica.port)
        try:
            with pytest.raises(EngineUnavailable, match="call it the primary, and it is none"):
                await link.call(ECHO, "r")
        finally:
            watched.primary.command("REPLICAOF", "NO", "ONE")
            await asyncio.to_thread(watched.settle)


async def test_dead_sentinels_are_passed_over(watched: Guarded) -> None:
    with_dead = watched.url.replace("://", "://127.0.0.1:1,")
    async with linked(with_dead) as link:
        assert await link.call(ECHO, "r") == [b"r"]
    async with linked("redis+sentinel://127.0.0.1:1/service") as link:
        with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:1: "):
            await link.call(ECHO, "r")


async def test_a_service_that_no_sentinel_watches_is_refused(watched: Guarded) -> None:
    async with linked(f"{watched.url.rpartition('/')[0]}/other") as link:
        with pytest.raises(EngineRefused, match="watches no service called 'other'"):
            await link.call(ECHO, "r")


# Cluster


@pytest.fixture(scope="module", params=KINDS)
def nodes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    with cluster(tmp_path_factory.mktemp("cluster"), kind=request.param) as made:
        yield made


@pytest.fixture
def url(nodes: list[Server]) -> str:
    for node in nodes:
        node.command("FLUSHALL")
    return f"redis+cluster://127.0.0.1:{nodes[1].port}"


async def test_each_root_is_asked_of_its_own_node(nodes: list[Server], url: str) -> None:
    async with linked(url) as link:
        answers = await asyncio.gather(*(link.call(COUNT_AGAIN, root) for root in ROOTS))
        assert answers == [1] * len(ROOTS)
        assert all(await link.each("DBSIZE"))
        assert sum(await link.every("DBSIZE")) == len(ROOTS)
        keys = [key for page in [page async for page in link.scan("*")] for key in page]
        assert sorted(keys) == sorted(f"{root}n".encode() for root in ROOTS)
        assert await link.command("GET", f"{ROOTS[3]}n", key=ROOTS[3]) == b"1"


async def test_slots_are_those_of_the_server(nodes: list[Server]) -> None:
    for key in [*ROOTS, "plain", "{}", "a{b}c{d}", "ä{ö}"]:
        assert nodes[0].command("CLUSTER", "KEYSLOT", key) == slot_of(key)


async def test_blocking_reads_go_to_the_node_of_their_key(url: str) -> None:
    async with linked(url) as link:
        await asyncio.gather(*(link.command("XADD", r, "*", "k", "v", key=r) for r in ROOTS))
        async with asyncio.timeout(10):
            await asyncio.gather(*(link.block(r, "0", timedelta(minutes=1)) for r in ROOTS))


async def test_a_slot_that_has_moved_is_found_at_once(nodes: list[Server], url: str) -> None:
    async with linked(url) as link:
        await asyncio.gather(*(link.call(COUNT_AGAIN, root) for root in ROOTS))
        root = next(root for root in ROOTS if owner(nodes, slot_of(root)) is nodes[0])
        try:
            move(nodes, slot_of(root), nodes[0], nodes[2])
            assert await link.call(COUNT_AGAIN, root) == 2
        finally:
            move(nodes, slot_of(root), nodes[2], nodes[0])
        assert await link.call(COUNT_AGAIN, root) == 3


async def test_a_slot_that_is_just_moving_is_left_alone_until_it_has_moved(
    nodes: list[Server], url: str
) -> None:
    root = next(root for root in ROOTS if owner(nodes, slot_of(root)) is nodes[0])
    async with linked(url) as link:
        await link.call(COUNT_AGAIN, root)
        begin_move(nodes, slot_of(root), nodes[0], nodes[2])
        try:
            with pytest.raises(EngineUnavailable, match="ASK"):
                await link.call(COUNT_AGAIN, root)
            call = asyncio.create_task(link.call(COUNT_AGAIN, root))
            end_move(nodes, slot_of(root), nodes[0], nodes[2])
            assert await call == 2
        finally:
            move(nodes, slot_of(root), nodes[2], nodes[0])


def owner(nodes: list[Server], slot: int) -> Server:
    for first, last, (_, port, *_), *_ in nodes[0].command("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return next(node for node in nodes if node.port == port)
    raise AssertionError(slot)


def move(nodes: list[Server], slot: int, source: Server, target: Server) -> None:
    begin_move(nodes, slot, source, target)
    end_move(nodes, slot, source, target)


def begin_move(nodes: list[Server], slot: int, source: Server, target: Server) -> None:
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", name(source))
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", name(target))


def end_move(nodes: list[Server], slot: int, source: Server, target: Server) -> None:
    for key in source.command("CLUSTER", "GETKEYSINSLOT", slot, 1_000):
        source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000, "AUTH2", "tests", "any")
    for node in (target, source, *nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", name(target))


def name(node: Server) -> str:
    answer: bytes = node.command("CLUSTER", "MYID")
    return answer.decode()


async def test_a_node_that_restarts_is_found_again(nodes: list[Server], url: str) -> None:
    async with linked(url) as link:
        await asyncio.gather(*(link.call(ECHO, root) for root in ROOTS))
        nodes[2].kill()
        root = next(root for root in ROOTS if owner(nodes, slot_of(root)) is nodes[2])
        with pytest.raises(EngineUnavailable, match=f"127.0.0.1:{nodes[2].port}"):
            await link.call(ECHO, root)
        other = next(root for root in ROOTS if owner(nodes, slot_of(root)) is nodes[0])
        assert await link.call(ECHO, other) == [other.encode()]
        await asyncio.to_thread(nodes[2].start)
        await asyncio.to_thread(until, lambda: works(nodes), "the cluster is whole again")
        assert await link.call(ECHO, root) == [root.encode()]


def works(nodes: list[Server]) -> bool:
    return all(b"cluster_state:ok" in node.command("CLUSTER", "INFO") for node in nodes)


async def test_a_cluster_reached_as_one_server_is_told_which_url_to_use(
    nodes: list[Server],
) -> None:
    async with linked(f"redis://127.0.0.1:{nodes[0].port}") as link:
        with pytest.raises(EngineRefused, match=r"write redis\+cluster://127\.0\.0\.1"):
            await asyncio.gather(*(link.call(ECHO, root) for root in ROOTS))


async def test_one_server_reached_as_a_cluster_is_told_which_url_to_use(tmp_path: Path) -> None:
    with server(tmp_path) as made:
        async with linked(f"redis+cluster://127.0.0.1:{made.port}") as link:
            with pytest.raises(EngineRefused, match=f"write redis://127.0.0.1:{made.port}/0"):
                await link.call(ECHO, "r")
