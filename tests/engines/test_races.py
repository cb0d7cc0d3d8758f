"""Several sessions on one store at the same time: real threads, real processes, real stores."""

import asyncio
import json
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.engines.makers import ENGINES, Servers
from tests.servers.server import KINDS
from tidemill.clock import VirtualClock, from_micros
from tidemill.engine import ClaimRequest, Engine, Fired, Firing, TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.ids import IdMaker, fire_id
from tidemill.outcome import Completed, Settlement
from tidemill.task import DEFAULT_LEASE, Limit, State, UniqueKey
from tidemill.testing import new_task, numbered_id
from tidemill.testing.lab import TICK

T = TypeVar("T")
THREADS = 4
REPOSITORY = Path(__file__).parents[2]


class Shared:
    """One store and `THREADS` ways into it, each for a thread with an event loop of its own."""

    def __init__(self, engine: Engine, sessions: list[Engine], clock: VirtualClock) -> None:
        self.engine = engine
        self.sessions = sessions
        self.clock = clock
        self._runner = asyncio.Runner()
        self.run(engine.migrate())

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call to the engine itself, always on the same loop."""
        return self._runner.run(call)

    def at_once(self, call: Callable[[Engine, int], Coroutine[Any, Any, T]]) -> list[T]:
        """Run the call in every thread with its own session, all set off by one barrier."""
        barrier = threading.Barrier(THREADS)

        async def opened(number: int) -> T:
            session = self.sessions[number]
            await session.migrate()
            barrier.wait()
            answer = await call(session, number)
            await session.close()
            return answer

        with ThreadPoolExecutor(THREADS) as pool:
            runs = [pool.submit(asyncio.run, opened(number)) for number in range(THREADS)]
            return [run.result() for run in runs]

    def close(self) -> None:
        self.run(self.engine.close())
        self._runner.close()


CONNECTIONS = "sqlite connections"


@pytest.fixture(params=[*ENGINES, CONNECTIONS])
def shared(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[Shared]:
    """A store that several threads use."""
    clock = VirtualClock()
    with ExitStack() as opened:
        if request.param == CONNECTIONS:
            path = tmp_path / "shared.db"
            engine, *sessions = [SqliteEngine(path, clock=clock) for _ in range(1 + THREADS)]
            store = Shared(engine, list(sessions), clock)
        else:
            made = opened.enter_context(ENGINES[request.param].stores(servers))(clock)
            store = Shared(made, [made.session() for _ in range(THREADS)], clock)
        opened.callback(store.close)
        yield store


@pytest.fixture(params=["sqlite", *KINDS])
def shared_url(request: pytest.FixtureRequest, servers: Servers, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store that several processes can use."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
    else:
        with servers.addresses(request.param) as address:
            yield address()


def request_of(limit: int) -> ClaimRequest:
    return ClaimRequest(
        claim_id=IdMaker().make(),
        worker="w",
        queues=None,
        task_types=frozenset({"work"}),
        limit=limit,
    )


async def enqueued(engine: Engine, count: int) -> list[str]:
    answers = await engine.enqueue([new_task(numbered_id(n)) for n in range(count)])
    return [answer.task_id for answer in answers]


async def found(engine: Engine) -> dict[str, State]:
    page = await engine.find(TaskQuery(limit=1000))
    return {task.id: task.state for task in page.tasks}


def test_concurrent_claims_never_share_a_task(shared: Shared) -> None:
    ids = shared.run(enqueued(shared.engine, 300))

    async def take(session: Engine, _number: int) -> list[str]:
        taken: list[str] = []
        while claims := await session.claim(request_of(7)):
            taken += [claim.ref.task_id for claim in claims]
        return taken

    taken = shared.at_once(take)
    assert sorted(task_id for each in taken for task_id in each) == sorted(ids)


def test_two_reclaims_and_a_late_settlement_have_one_winner_per_task(shared: Shared) -> None:
    async def prepared() -> list[Settlement]:
        await enqueued(shared.engine, 60)
        claims = await shared.engine.claim(request_of(100))
        return [Settlement(claim.ref, Completed(b"late")) for claim in claims]

    settlements = shared.run(prepared())
    shared.clock.advance(DEFAULT_LEASE + TICK)

    async def race(session: Engine, number: int) -> tuple[set[str], set[str]]:
        reclaimed: set[str] = set()
        settled: set[str] = set()
        for start in range(0, 60, 5):
            if number % 2:
                taken = [each.task_id for each in await session.reclaim(5)]
                assert reclaimed.isdisjoint(taken)
                reclaimed.update(taken)
            elif number == 0:
                batch = settlements[::-1][start : start + 5]
                states = await session.settle(batch)
                settled |= {
                    each.claim.task_id
                    for each, state in zip(batch, states, strict=True)
                    if state is not None
                }
        return reclaimed, settled

    (_, settled), (first, _), _, (second, _) = shared.at_once(race)
    assert first.isdisjoint(second)
    assert settled.isdisjoint(first | second)
    states = shared.run(found(shared.engine))
    assert {task_id for task_id, state in states.items() if state is State.COMPLETED} == settled
    assert {task_id for task_id, state in states.items() if state is State.PENDING} == (
        first | second
    )
    assert len(states) == 60


def test_a_unique_key_that_many_want_has_one_holder(shared: Shared) -> None:
    async def want(session: Engine, number: int) -> list[str]:
        holders = []
        for n in range(20):
            task = new_task(numbered_id(100 * number + n), unique=UniqueKey(f"k{n}"))
            [answer] = await session.enqueue([task])
            assert answer.duplicate == (answer.task_id != task.id)
            holders.append(answer.task_id)
        return holders

    answers = shared.at_once(want)
    assert all(each == answers[0] for each in answers)
    assert sorted(shared.run(found(shared.engine))) == sorted(answers[0])


def test_an_id_that_many_enqueue_is_one_task(shared: Shared) -> None:
    async def enqueue(session: Engine, _number: int) -> list[str]:
        return await enqueued(session, 50)

    answers = shared.at_once(enqueue)
    assert all(each == answers[0] for each in answers)
    assert len(shared.run(found(shared.engine))) == 50


def test_an_instant_that_many_fire_fires_once(shared: Shared) -> None:
    instants = [from_micros(shared.clock.now() - 30 + n) for n in range(30)]

    async def fire(session: Engine, _number: int) -> list[bool]:
        fired: list[bool] = []
        for at in instants:
            firing = Firing("s", at, new_task(fire_id("s", at)))
            fired += [each is Fired.FIRED for each in await session.fire([firing])]
        return fired

    answers = shared.at_once(fire)
    wins = [sum(each) for each in zip(*answers, strict=True)]
    assert set(wins) <= {0, 1}
    assert wins[-1] == 1
    assert len(shared.run(found(shared.engine))) == sum(wins)


def test_a_limit_holds_whoever_claims(shared: Shared) -> None:
    limit = Limit("k", 2)
    tasks = [new_task(numbered_id(n), limit=limit) for n in range(40)]
    shared.run(shared.engine.enqueue(tasks))
    lock, running, most = threading.Lock(), 0, 0

    async def work(session: Engine, _number: int) -> int:
        nonlocal running, most
        done = 0
        while any(not state.final for state in (await found(session)).values()):
            claims = await session.claim(request_of(3))
            with lock:
                running += len(claims)
                most = max(most, running)
            await asyncio.sleep(0)
            with lock:
                running -= len(claims)
            await session.settle([Settlement(claim.ref, Completed()) for claim in claims])
            done += len(claims)
        return done

    assert sum(shared.at_once(work)) == 40
    assert 1 <= most <= 2


def test_eight_processes_share_one_store(shared_url: str) -> None:
    processes, own = 8, 60
    total = processes * own
    command = [sys.executable, "-m", "tests.engines.contention", shared_url]
    started = [
        subprocess.Popen(
            [*command, str(own), str(total)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [(errors, code) for _, errors, code in ended] == [("", 0)] * processes

    held = defaultdict(list)
    for lines, _, _ in ended:
        for line in lines.splitlines():
            task_id, token, attempt, since, until, state = json.loads(line)
            held[task_id].append((since, until, token, attempt, state))
    assert len(held) == total
    for spans in held.values():
        spans.sort()
        for before, after in pairwise(spans):
            assert before[1] < after[0], "two processes held one task at the same time"
        assert [span[2] for span in spans] == list(range(1, len(spans) + 1))
        assert [span[4] for span in spans] == ["pending"] * (len(spans) - 1) + ["completed"]
    assert sum(len(spans) for spans in held.values()) == total + processes * own // 3
