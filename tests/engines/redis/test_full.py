"""A server whose memory is used up: no more tasks come in, and all that ends tasks goes on."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.engines.redis.hands import command, looking, opened
from tests.engines.redis.site import SOON, at_work
from tests.servers.cluster import cluster
from tests.servers.server import KINDS, Server, server
from tidemill.engine import HistoryQuery, Hold, Mark
from tidemill.errors import EngineFull
from tidemill.outcome import Completed, Retried, Settlement, Waiting
from tidemill.task import Limit, NewTask, Retention, State, UniqueKey
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import NO_TIME, Lab, LabClock

MINUTE = timedelta(minutes=1)
SHORT = Retention(completed=NO_TIME)
WHAT_ENDED = ("completed", "retried", "cancelled", "reclaimed")
ROOM = 2_000_000
"""Bytes that a test has until its server is full."""

TAKEN = -100_000
"""Bytes that are taken from a server that was full, lest what is small finds room."""


@pytest.fixture(params=[*KINDS, "cluster"], scope="module")
def own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """A server for these tests alone, and the URL of its store."""
    folder = tmp_path_factory.mktemp("full")
    if request.param == "cluster":
        with cluster(folder, nodes=1) as (node,):
            yield node, f"redis+cluster://127.0.0.1:{node.port}"
    else:
        with server(folder, kind=request.param) as made:
            yield made, made.url


@pytest.fixture
def small(own: tuple[Server, str]) -> Iterator[str]:
    """The URL of an empty store that a test may fill."""
    made, url = own
    yield url
    made.command("CONFIG", "SET", "maxmemory", 0)
    made.command("FLUSHALL")
    made.command("SCRIPT", "FLUSH")


def limit_memory(url: str, room: int) -> None:
    """Let a server use so much more memory than now, or less; 0 is as much as it likes."""
    (answer,) = command(url, "INFO", "memory")
    told = dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)
    command(url, "CONFIG", "SET", "maxmemory", int(told["used_memory"]) + room if room else 0)


async def fill(lab: Lab) -> tuple[list[str], list[NewTask]]:
    """Enqueue until it is refused; the ids of what was accepted, and the batch that was not."""
    accepted: list[str] = []
    while True:
        batch = [lab.new(payload=bytes(10_000), retention=SHORT) for _ in range(10)]
        try:
            await lab.enqueue(*batch)
        except EngineFull:
            return accepted, batch
        accepted += [task.id for task in batch]


async def test_enqueue_is_refused_whole_and_what_ends_tasks_goes_on(small: str) -> None:
    async with opened(small, clock=LabClock()) as lab, looking(small) as look:
        limit_memory(small, ROOM)
        accepted, refused = await fill(lab)
        limit_memory(small, TAKEN)
        keys = await look.keys()
        assert [task.id for task in refused if await lab.state(task.id)] == []
        for task in (
            lab.new(delay=MINUTE),
            lab.new(unique=UniqueKey("k")),
            lab.new(limit=Limit("l", 1)),
            lab.new(tags=("t",), queue="new"),
        ):
            with pytest.raises(EngineFull, match=r"used up its memory: .* changed nothing"):
                await lab.enqueue(task)
            assert await lab.state(task.id) is None
        assert await look.keys() == keys
        held, ended, lost, retried = claims = await lab.claim(4)
        assert [claim.ref.task_id for claim in claims] == accepted[:4]
        assert await lab.extend(held, MINUTE) is Hold.HELD
        assert await lab.settle(ended, Completed(b"result")) is State.COMPLETED
        assert await lab.settle(retried, Retried(BROKE, MINUTE)) is State.SCHEDULED
        assert await lab.engine.cancel(accepted[4:5]) == [State.CANCELLED]
        lab.clock.advance(31 * MINUTE / 60)
        (reclaimed,) = await lab.engine.reclaim(10)
        assert reclaimed.task_id == lost.ref.task_id
        assert await lab.engine.prune(10) == 1
        lab.clock.advance(MINUTE)
        assert (await lab.engine.promote(10)).moved == 1
        assert len((await lab.engine.stats()).counts) == 3
        since, until = lab.now(-2 * MINUTE), lab.now(MINUTE)
        tallies = await lab.engine.history(HistoryQuery(since=since, until=until))
        assert [sum(getattr(each, name) for each in tallies) for name in WHAT_ENDED] == [1, 1, 1, 1]


async def test_there_is_room_again_once_tasks_were_done_and_pruned(small: str) -> None:
    async with opened(small, clock=LabClock()) as lab:
        limit_memory(small, ROOM)
        accepted, refused = await fill(lab)
        done: list[str] = []
        while claims := await lab.claim(100):
            await lab.engine.settle([Settlement(claim.ref, Completed()) for claim in claims])
            done += [claim.ref.task_id for claim in claims]
        assert done == accepted
        while await lab.engine.prune(100):
            pass
        await lab.enqueue(*refused)
        assert await lab.claimed() == [task.id for task in refused]


async def test_a_full_store_can_be_opened_watched_and_operated(small: str) -> None:
    async with opened(small) as lab:
        limit_memory(small, ROOM)
        accepted, _ = await fill(lab)
        limit_memory(small, TAKEN)
        async with opened(small, first=100_000) as newcomer:
            assert len(await newcomer.found()) == len(accepted)
            assert (await newcomer.engine.promote(10)).moved == 0
            assert await newcomer.engine.reclaim(10) == []
            await newcomer.engine.pause("default", paused=True)
            assert await newcomer.claimed() == []
            await newcomer.engine.pause("default", paused=False)
            assert await newcomer.claimed(1) == accepted[:1]
            assert await newcomer.engine.documents("kind") == []
            assert (await newcomer.engine.marks(["s"], 9)).marks == (Mark("s"),)


async def test_a_settlement_brings_its_children_also_to_a_full_store(small: str) -> None:
    async with opened(small) as lab:
        for queue in ("default", "far"):
            await lab.add(queue=queue)
        parent, _ = await lab.claim()
        limit_memory(small, TAKEN)
        near, far = lab.new(), lab.new(queue="far")
        waiting = Waiting((near.id, far.id))
        assert await lab.settle(parent, waiting, enqueue=(near, far)) is State.BLOCKED
        for claim in await lab.claim():
            assert await lab.settle(claim, Completed()) is State.COMPLETED
        assert await lab.claimed() == [parent.ref.task_id]


async def test_a_worker_goes_on_when_there_is_room_again(small: str) -> None:
    async with at_work(small) as site:
        running = await site.begin(1)
        limit_memory(small, TAKEN)
        with pytest.raises(EngineFull):
            await site.quick.enqueue(2)
        site.go.set()
        assert await running.result(SOON) == 1
        limit_memory(small, 0)
        await site.works(3)
        assert site.ran == [0, 1, 3]
