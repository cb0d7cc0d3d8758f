"""The connection ends after the server did what was asked, and before it said so.

Every verb meets that once. Either the engine repeats it by itself, and answers as if nothing had
been, or it raises `EngineUnavailable`, and the caller's repetition changes nothing more.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest

from tests.engines.redis.hands import command, opened
from tests.servers.cluster import cluster
from tests.servers.faults import CutAfter
from tests.servers.proxy import Proxy
from tests.servers.server import Server, server
from tidemill.engine import (
    Extension,
    Fired,
    Firing,
    HistoryQuery,
    Hold,
    Promoted,
    Put,
    QueueDefinition,
    Retrial,
    TaskQuery,
)
from tidemill.engines.redis.address import parse
from tidemill.engines.redis.scripts import script
from tidemill.errors import EngineUnavailable
from tidemill.outcome import Completed, Failed, Settlement, Waiting
from tidemill.task import Claim, Limit, LogLine, Progress, State, UniqueKey
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import TICK, Lab, LabClock

LEASE = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)

Verb = Callable[[], Awaitable[Any]]


class Cut:
    """A lab whose next call of a script loses its answer."""

    def __init__(self, lab: Lab, proxy: Proxy) -> None:
        self.lab = lab
        self._proxy = proxy

    async def answer(self, name: str, verb: Verb) -> Any:
        """What a verb answers whose script was carried out, but not heard of at first."""
        self._proxy.fault = CutAfter(when=script(name).sha.encode())
        answered = await verb()
        assert self._proxy.strikes == 1
        return answered

    async def unheard(self, name: str, verb: Verb) -> Any:
        """What the second call of a verb answers whose first one raised."""
        self._proxy.fault = CutAfter(when=script(name).sha.encode())
        with pytest.raises(EngineUnavailable, match="may or may not have happened"):
            await verb()
        assert self._proxy.strikes == 1
        return await verb()

    async def causes(self) -> list[str]:
        """What the feed says that happened, in order."""
        return [entry.cause for entry in await self.lab.feed()]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster of one node."""
    with cluster(tmp_path_factory.mktemp("one"), nodes=1) as (made,):
        yield made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server."""
    with server(tmp_path_factory.mktemp("alone")) as made:
        yield made


@pytest.fixture(params=["single", "cluster"])
def behind(request: pytest.FixtureRequest) -> str:
    """The URL of the server itself."""
    if request.param == "cluster":
        return f"redis+cluster://127.0.0.1:{request.getfixturevalue('node').port}"
    return str(request.getfixturevalue("alone").url)


@contextlib.asynccontextmanager
async def cutting(behind: str) -> AsyncIterator[Cut]:
    """A lab that reaches its empty store through a proxy, and whose scripts the server knows."""
    port = parse(behind).places[0].port
    command(behind, "FLUSHALL")
    async with Proxy(port) as proxy:
        if spread := "cluster" in behind:
            command(behind, "CONFIG", "SET", "cluster-announce-port", proxy.port)
        url = behind.replace(str(port), str(proxy.port))
        for file in (files("tidemill.engines.redis") / "scripts").iterdir():
            if file.name.endswith(".lua"):
                command(behind, "SCRIPT", "LOAD", script(file.name[: -len(".lua")]).source)
        async with opened(url, clock=LabClock()) as lab:
            yield Cut(lab, proxy)
        if spread:
            command(behind, "CONFIG", "SET", "cluster-announce-port", 0)


async def test_enqueue_answers_the_same_and_makes_each_task_once(behind: str) -> None:
    async with cutting(behind) as cut:
        first = await cut.lab.add(unique=UniqueKey("k"))
        tasks = [cut.lab.new(), cut.lab.new(unique=UniqueKey("k")), cut.lab.new(delay=MINUTE)]
        answers = await cut.answer("enqueue", lambda: cut.lab.enqueue(*tasks))
        assert [(each.task_id, each.duplicate) for each in answers] == [
            (tasks[0].id, False),
            (first, True),
            (tasks[2].id, False),
        ]
        assert await cut.causes() == ["enqueued"] * 3
        assert await cut.lab.claimed() == [first, tasks[0].id]


async def test_claim_answers_the_same_and_takes_nothing_more(behind: str) -> None:
    async with cutting(behind) as cut:
        ids = [await cut.lab.add() for _ in range(5)]
        claims: list[Claim] = await cut.answer("claim", lambda: cut.lab.claim(3))
        assert [(each.ref.task_id, each.ref.token, each.attempt) for each in claims] == [
            (task_id, 1, 1) for task_id in ids[:3]
        ]
        assert await cut.lab.claimed() == ids[3:]
        assert await cut.causes() == ["enqueued"] * 5 + ["claimed"] * 5


async def test_extend_answers_the_same(behind: str) -> None:
    async with cutting(behind) as cut:
        held, lost = await cut.lab.start(), await cut.lab.start(max_attempts=2)
        ended = await cut.lab.start()
        await cut.lab.settle(ended, Completed())
        extensions = [Extension(each.ref, Progress(50.0)) for each in (held, ended)]
        answer = await cut.answer("extend", lambda: cut.lab.engine.extend(extensions, MINUTE))
        assert answer == [Hold.HELD, Hold.LOST]
        cut.lab.clock.advance(LEASE + TICK)
        (reclaimed,) = await cut.lab.engine.reclaim(10)
        assert reclaimed.task_id == lost.ref.task_id


async def test_settle_answers_the_same_and_brings_its_children_once(behind: str) -> None:
    async with cutting(behind) as cut:
        parent, failed = await cut.lab.start(), await cut.lab.start()
        near, far = cut.lab.new(), cut.lab.new(queue="far")
        log = LogLine(cut.lab.now(), "info", "here", 1)
        batch = [
            Settlement(parent.ref, Waiting((near.id, far.id)), (near, far), logs=(log,)),
            Settlement(failed.ref, Failed(BROKE)),
        ]
        answer = await cut.answer("settle", lambda: cut.lab.engine.settle(batch))
        assert answer == [State.BLOCKED, State.FAILED]
        await cut.lab.engine.promote(10)  # completes what the caller left behind on a cluster
        assert await cut.lab.states(near.id, far.id) == [State.PENDING] * 2
        assert len((await cut.lab.task(parent.ref.task_id)).logs) == 1
        for claim in await cut.lab.claim():
            await cut.lab.settle(claim, Completed())
        assert await cut.lab.state(parent.ref.task_id) is State.PENDING
        assert sorted(await cut.causes()) == sorted(
            ["enqueued"] * 4
            + ["claimed"] * 4
            + ["waiting", "failed", "children_final"]
            + ["completed"] * 2
        )


async def test_promote_moves_each_task_once(behind: str) -> None:
    async with cutting(behind) as cut:
        task_id = await cut.lab.add(delay=MINUTE)
        cut.lab.clock.advance(MINUTE)
        promoted: Promoted = await cut.answer("promote", lambda: cut.lab.engine.promote(10))
        assert promoted.next_in is None
        assert await cut.causes() == ["enqueued", "promoted"]
        assert await cut.lab.claimed() == [task_id]


async def test_reclaim_takes_each_lease_back_once(behind: str) -> None:
    async with cutting(behind) as cut:
        claim = await cut.lab.start(max_attempts=3)
        cut.lab.clock.advance(LEASE + TICK)
        assert await cut.answer("reclaim", lambda: cut.lab.engine.reclaim(10)) == []
        again = await cut.lab.take(claim.ref.task_id)
        assert (again.attempt, again.ref.token) == (2, 2)
        assert await cut.causes() == ["enqueued", "claimed", "reclaimed", "claimed"]


async def test_prune_removes_each_task_once(behind: str) -> None:
    async with cutting(behind) as cut:
        claim = await cut.lab.start()
        await cut.lab.settle(claim, Completed())
        kept = await cut.lab.add()
        cut.lab.clock.advance(timedelta(days=8))
        assert await cut.answer("prune", lambda: cut.lab.engine.prune(10)) == 0
        assert await cut.lab.found() == [kept]
        assert (await cut.causes())[-1] == "removed"


async def test_cancel_answers_the_same(behind: str) -> None:
    async with cutting(behind) as cut:
        running, waiting = await cut.lab.start(), await cut.lab.add(limit=Limit("l", 1))
        behind_it = await cut.lab.add(limit=Limit("l", 1))
        ids = [running.ref.task_id, waiting, numbered_id(99)]
        answer = await cut.answer("cancel", lambda: cut.lab.engine.cancel(ids, "enough"))
        assert answer == [State.RUNNING, State.CANCELLED, None]
        assert await cut.lab.state(behind_it) is State.PENDING
        assert (await cut.causes()).count("cancel_requested") == 1


async def test_retry_happens_once(behind: str) -> None:
    async with cutting(behind) as cut:
        claim = await cut.lab.start()
        await cut.lab.settle(claim, Failed(BROKE))
        ids = [claim.ref.task_id]
        answer = await cut.unheard("retry", lambda: cut.lab.engine.retry(ids))
        assert answer == [Retrial.NOT_FINAL]
        assert (await cut.causes()).count("manual_retry") == 1


async def test_remove_happens_once(behind: str) -> None:
    async with cutting(behind) as cut:
        claim = await cut.lab.start()
        await cut.lab.settle(claim, Completed())
        ids = [claim.ref.task_id]
        assert await cut.unheard("remove", lambda: cut.lab.engine.remove(ids)) == [False]
        assert await cut.lab.find() == []


async def test_fire_makes_one_task_of_an_instant(behind: str) -> None:
    async with cutting(behind) as cut:
        task = cut.lab.new()
        firing = Firing("s", cut.lab.now(), task)
        answer = await cut.unheard("fire", lambda: cut.lab.engine.fire([firing]))
        assert answer == [Fired.ALREADY]
        assert await cut.lab.found() == [task.id]
        (mark,) = (await cut.lab.engine.marks(["s"], 9)).marks
        assert (mark.count, len(mark.fires)) == (1, 1)


async def test_restore_takes_a_task_in_once(behind: str) -> None:
    async with cutting(behind) as cut:
        task = await cut.lab.task(await cut.lab.add())
        await cut.lab.engine.cancel([task.id])
        await cut.lab.engine.remove([task.id])
        answer = await cut.unheard("restore", lambda: cut.lab.engine.restore([task]))
        assert answer == [False]
        assert await cut.causes() == ["enqueued", "cancelled", "removed", "restored"]


async def test_put_writes_a_version_once(behind: str) -> None:
    async with cutting(behind) as cut:
        put = Put("kind", "key", b"body", if_version=0)
        assert await cut.unheard("put", lambda: cut.lab.engine.put([put])) == [None]
        (document,) = await cut.lab.engine.get("kind", ["key"])
        assert document is not None
        assert (document.version, document.body) == (1, b"body")


async def test_pause_and_configure_are_made_again(behind: str) -> None:
    async with cutting(behind) as cut:
        await cut.answer("queues", lambda: cut.lab.engine.pause("q", paused=True))
        wanted = QueueDefinition("q", 7, MINUTE)
        await cut.answer("queues", lambda: cut.lab.engine.configure([wanted]))
        (queue,) = (await cut.lab.engine.stats()).queues
        assert (queue.paused, queue.definition) == (True, wanted)


@pytest.mark.parametrize("name", ["documents", "find", "stats", "feed", "read", "marks", "history"])
async def test_what_only_reads_answers_the_same(behind: str, name: str) -> None:
    async with cutting(behind) as cut:
        claim = await cut.lab.start()
        task_id = claim.ref.task_id
        await cut.lab.settle(claim, Completed())
        await cut.lab.engine.fire([Firing("s", cut.lab.now(), cut.lab.new())])
        ever = HistoryQuery(since=cut.lab.now(-MINUTE), until=cut.lab.now(MINUTE))
        read: dict[str, Verb] = {
            "documents": lambda: cut.lab.engine.documents("kind"),
            "find": lambda: cut.lab.engine.find(TaskQuery()),
            "stats": cut.lab.engine.stats,
            "feed": lambda: cut.lab.engine.feed("", 10, timedelta(0)),
            "read": lambda: cut.lab.engine.find(TaskQuery(ids=(task_id,))),
            "marks": lambda: cut.lab.engine.marks(["s"], 9),
            "history": lambda: cut.lab.engine.history(ever),
        }
        expected = await read[name]()
        assert await cut.answer(name, read[name]) == expected
