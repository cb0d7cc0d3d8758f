"""What a batch costs in statements, whatever it brings about: each is a wait for the interpreter.

Counted, not timed: an engine that reads or writes row by row shows in the count.
"""

from pathlib import Path

import apsw
import pytest

from tidemill.clock import VirtualClock
from tidemill.engine import ClaimRequest, TaskQuery
from tidemill.engines.sqlite import SqliteEngine, writer
from tidemill.engines.sqlite.connection import Durability, connect
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement
from tidemill.task import After, Limit, NewTask, State
from tidemill.testing import new_task

FEW, MANY = 16, 256
"""Sizes of which the larger still fits into one statement."""


class Traced:
    """An engine that tells how many statements its writer ran."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements = 0
        monkeypatch.setattr(writer, "connect", self._connect)
        self.engine = SqliteEngine(path, clock=VirtualClock())  # no minute ends meanwhile

    def _connect(self, path: Path, durability: Durability, *, write: bool) -> apsw.Connection:
        on = connect(path, durability, write=write)
        on.exec_trace = self._count
        return on

    def _count(self, *_: object) -> bool:
        self.statements += 1
        return True

    async def warmed_up(self) -> SqliteEngine:
        """The engine, when it has settled before and remembers what it remembers."""
        await self.engine.enqueue([new_task()])
        await self.settled(1)
        return self.engine

    async def settled(self, number: int) -> int:
        """Claim and complete so many tasks; answers the statements that the settlement took."""
        request = ClaimRequest(
            claim_id=IdMaker().make(),
            worker="w",
            queues=None,
            task_types=frozenset({"work"}),
            limit=number,
        )
        claims = await self.engine.claim(request)
        assert len(claims) == number
        before = self.statements
        await self.engine.settle([Settlement(claim.ref, Completed()) for claim in claims])
        return self.statements - before


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Traced:
    return Traced(tmp_path / "a.db", monkeypatch)


def _chord(size: int) -> list[NewTask]:
    upstream = [new_task() for _ in range(size)]
    last = new_task(after=After(tuple(task.id for task in upstream)), task_type="last")
    names = (*(task.id for task in upstream), last.id)
    return [*upstream, last, new_task(after=After(names, joins=True), task_type="last")]


async def _in_state(engine: SqliteEngine, state: State) -> int:
    return sum(each.count for each in (await engine.stats()).counts if each.state is state)


async def test_upstream_tasks_settle_in_as_many_statements_as_few(traced: Traced) -> None:
    engine, counted = await traced.warmed_up(), dict[int, int]()
    for size in (FEW, MANY):
        await engine.enqueue(_chord(2 * size))
        counted[size] = await traced.settled(size)
        await traced.settled(size)
    assert counted[MANY] == counted[FEW]
    assert await _in_state(engine, State.PENDING) == 2
    assert await _in_state(engine, State.BLOCKED) == 2
    await engine.close()


async def test_a_chord_is_enqueued_in_a_statement_for_each_hundreds_of_tasks(
    traced: Traced,
) -> None:
    engine, counted = await traced.warmed_up(), list[int]()
    for size in (FEW, 2_048):
        before = traced.statements
        await engine.enqueue(_chord(size))
        counted.append(traced.statements - before)
    assert counted[1] - counted[0] < 2_048 / 32
    await engine.close()


@pytest.mark.parametrize("keys", [1, 8])
async def test_a_batch_hands_over_its_slots_in_as_many_statements_as_a_small_one(
    traced: Traced, keys: int
) -> None:
    engine, counted = await traced.warmed_up(), dict[int, int]()
    for size in (FEW, MANY):
        tasks = [
            new_task(limit=Limit(f"{size}-{n % keys}", size // keys), task_type="work")
            for n in range(3 * size)
        ]
        await engine.enqueue(tasks)
        counted[size] = await traced.settled(size)
        assert await _in_state(engine, State.BLOCKED) == size
        for _ in range(2):
            await traced.settled(size)
    assert counted[MANY] == counted[FEW]
    found = await engine.find(TaskQuery(states=frozenset({State.BLOCKED})))
    assert found.tasks == ()
    await engine.close()
