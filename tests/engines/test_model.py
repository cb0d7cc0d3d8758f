"""Any engine answers every call as the memory engine does, and shows the same state after it.

Hypothesis makes up the calls. Claims are never forgotten, so that most settlements are stale, and
ids come from a small pool, so that they are used again after a removal. `TIDEMILL_MODEL_EXAMPLES`
sets how many histories are tried (then at random, otherwise always the same ones).
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tests.engines.makers import ENGINES, Kind, Servers
from tests.engines.strategies import (
    HOUR,
    LEASE,
    MINUTE,
    SECOND,
    batches,
    definitions,
    ids,
    instants,
    limits,
    logs,
    outcomes,
    progress,
    queues,
    reasons,
    tasks,
)
from tidemill.clock import VirtualClock, from_micros, micros
from tidemill.engine import (
    SCHEDULE,
    ClaimRequest,
    Engine,
    Enqueued,
    Extension,
    Firing,
    HistoryQuery,
    Put,
    QueueDefinition,
    Resolution,
    Stats,
    Tally,
    TaskQuery,
)
from tidemill.engines.memory import MemoryEngine
from tidemill.errors import QueueFull
from tidemill.outcome import (
    Completed,
    Outcome,
    Settlement,
    Waiting,
)
from tidemill.task import (
    ClaimRef,
    LogLine,
    NewTask,
    Progress,
    State,
)
from tidemill.testing import numbered_id
from tidemill.testing.lab import NO_TIME, TICK

T = TypeVar("T")


class Model(RuleBasedStateMachine):
    """Two engines and one clock: what one answers, the other must answer."""

    claims = Bundle("claims")

    def __init__(self, kind: Kind, servers: Servers) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.runner = self.opened.enter_context(asyncio.Runner())
        self.clock = VirtualClock()
        self.by_lane = kind.ordered == "lane"
        self.oracle: Engine = MemoryEngine(clock=self.clock, ordered=kind.ordered)
        self.engine = self.opened.enter_context(kind.stores(servers))(self.clock)
        self.opened.callback(lambda: self.runner.run(self.engine.close()))
        self.runner.run(self.engine.migrate())
        self.cursors = ["", ""]
        self.requests: list[tuple[int, ClaimRequest]] = []
        self.held: dict[str, ClaimRef] = {}

    def teardown(self) -> None:
        self.opened.close()

    def same(self, verb: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Call both; their answers must be equal."""
        expected = self.runner.run(verb(self.oracle))
        answered = self.runner.run(verb(self.engine))
        assert answered == expected
        return expected

    def enqueue(self, batch: Sequence[NewTask]) -> None:
        """Enqueue on both; a queue that is full is full on both."""
        self.same(lambda engine: _enqueued(engine, batch))

    def claim(self, request: ClaimRequest) -> list[ClaimRef]:
        refs = [claim.ref for claim in self.same(lambda engine: engine.claim(request))]
        self.held |= {ref.task_id: ref for ref in refs}
        return refs

    def settle(self, batch: list[Settlement]) -> None:
        self.same(lambda engine: engine.settle(batch))

    def running(self, picks: list[int]) -> list[ClaimRef]:
        """Claims that are held now, by their place in the order of ids."""
        query = TaskQuery(states=frozenset({State.RUNNING}))
        tasks = self.runner.run(self.oracle.find(query)).tasks
        return [self.held[tasks[pick % len(tasks)].id] for pick in picks if tasks]

    # produce

    @rule(batch=batches)
    def enqueue_a_batch(self, batch: list[NewTask]) -> None:
        self.enqueue(batch)

    @rule(
        schedule=st.sampled_from(("s1", "s2")),
        at=instants,
        batch=st.lists(tasks() | st.none(), min_size=1, max_size=2),
        version=st.none() | st.integers(1, 2),
        by_hand=st.booleans(),
    )
    def fire(
        self,
        schedule: str,
        at: datetime,
        batch: list[NewTask | None],
        version: int | None,
        by_hand: bool,
    ) -> None:
        firings = [
            Firing(schedule, at, task, version, missed=0 if task else 3, by_hand=by_hand)
            for task in batch
        ]
        self.same(lambda engine: engine.fire(firings))

    @rule(schedule=st.sampled_from(("s1", "s2")), body=st.none() | st.just(b"{}"))
    def define(self, schedule: str, body: bytes | None) -> None:
        self.same(lambda engine: engine.put([Put(SCHEDULE, schedule, body)]))

    @rule(count=st.integers(1, 3), first=st.integers(0, 9), later=st.integers(20, 25))
    def restore(self, count: int, first: int, later: int) -> None:
        """Take in what it holds itself, under other ids."""
        found = self.same(self._everything)
        tasks = [
            msgspec.structs.replace(task, id=numbered_id(later + n))
            for n, task in enumerate(found[first : first + count])
        ]
        self.same(lambda engine: engine.restore(tasks))

    # consume

    @rule(
        target=claims,
        batch=batches | st.just([]),
        limit=limits,
        alone=st.sampled_from((0, 1, 9)),
        named=st.sampled_from((None, None, None, ("a",), ("b", "a"), ("none",))),
        types=st.sampled_from((frozenset({"work", "mail"}), frozenset({"work"}))),
        worker=st.sampled_from(("w1", "w2")),
        lease=st.sampled_from((LEASE, 2 * LEASE)),
    )
    def enqueue_and_claim(
        self,
        batch: list[NewTask],
        limit: int,
        alone: int,
        named: tuple[str, ...] | None,
        types: frozenset[str],
        worker: str,
        lease: timedelta,
    ) -> Any:
        self.enqueue(batch)
        request = ClaimRequest(
            claim_id=numbered_id(1000 + len(self.requests)),
            worker=worker,
            queues=named,
            task_types=types,
            limit=limit,
            alone=alone,
            lease=lease,
        )
        self.requests.append((self.clock.now(), request))
        return multiple(*self.claim(request))

    @rule(target=claims, alone=st.sampled_from((1, 9)))
    def claim_everything(self, alone: int) -> Any:
        request = ClaimRequest(
            claim_id=numbered_id(1000 + len(self.requests)),
            worker="w3",
            queues=None,
            task_types=frozenset({"work", "mail"}),
            limit=100,
            alone=alone,
        )
        self.requests.append((self.clock.now(), request))
        return multiple(*self.claim(request))

    @rule(back=st.integers(1, 3), batch=batches)
    def repeat_a_claim(self, back: int, batch: list[NewTask]) -> None:
        """Its answer was lost, and something else was enqueued since.

        Only within the hour and the number of later claims for which every engine remembers a
        claim id.
        """
        if len(self.requests) < back:
            return
        at, request = self.requests[-back]
        if self.clock.now() - at <= micros(HOUR):
            self.enqueue(batch)
            self.claim(request)

    @rule(
        refs=st.lists(claims, min_size=1, max_size=3),
        outcomes=st.tuples(outcomes, outcomes, outcomes),
        made=st.lists(tasks(), max_size=2),
    )
    def settle_any_claim(
        self, refs: list[ClaimRef], outcomes: Sequence[Outcome], made: list[NewTask]
    ) -> None:
        first, *rest = (Settlement(*each) for each in zip(refs, outcomes, strict=False))
        self.settle([msgspec.structs.replace(first, enqueue=tuple(made)), *rest])

    @rule(
        picks=st.lists(st.integers(0, 9), min_size=1, max_size=4),
        outcome=outcomes,
        other=outcomes,
        made=st.lists(tasks(), max_size=2),
        progress=progress,
        logs=logs,
        waits=st.booleans(),
        cancelled=st.booleans(),
        again=st.booleans(),
    )
    def settle_what_runs(
        self,
        picks: list[int],
        outcome: Outcome,
        other: Outcome,
        made: list[NewTask],
        progress: Progress | None,
        logs: tuple[LogLine, ...],
        waits: bool,
        cancelled: bool,
        again: bool,
    ) -> None:
        """Sometimes with a cancel just before, and sometimes twice."""
        refs = self.running(picks)
        if not refs:
            return
        if waits and made:
            outcome = Waiting(tuple(task.id for task in made))
        if cancelled:
            self.same(lambda engine: engine.cancel([refs[0].task_id], "stop"))
        first, *rest = refs
        batch = [Settlement(first, outcome, tuple(made), progress, logs)]
        batch += [Settlement(ref, other) for ref in rest]
        self.settle(batch)
        if again:
            self.settle(batch)

    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=4), outcome=outcomes)
    def run_again_and_settle(self, picks: list[int], outcome: Outcome) -> None:
        """Settle tasks, claim them again, and let the claims from before come late."""
        refs = self.running(picks)
        self.settle([Settlement(ref, outcome) for ref in refs])
        self.claim_everything(9)
        self.settle([Settlement(ref, Completed(b"late")) for ref in refs])

    @rule(pick=st.integers(0, 9), outcome=outcomes, token=st.sampled_from((0, 0, -1, 1)))
    def settle_forged(self, pick: int, outcome: Outcome, token: int) -> None:
        """With the right token and another claim id, or the other way round."""
        for ref in self.running([pick]):
            claim_id = ref.claim_id if token else numbered_id(999)
            forged = ClaimRef(ref.task_id, ref.token + token, claim_id, ref.queue)
            self.settle([Settlement(forged, outcome)])

    @rule(
        refs=st.lists(claims, min_size=1, max_size=2),
        picks=st.lists(st.integers(0, 9), max_size=2),
        progress=progress,
        logs=logs,
        lease=st.sampled_from((LEASE, 2 * LEASE)),
    )
    def extend(
        self,
        refs: list[ClaimRef],
        picks: list[int],
        progress: Progress | None,
        logs: tuple[LogLine, ...],
        lease: timedelta,
    ) -> None:
        batch = [Extension(ref, progress, logs) for ref in refs + self.running(picks)]
        self.same(lambda engine: engine.extend(batch, lease))

    # repair

    @rule(
        by=st.sampled_from((NO_TIME, TICK, 21 * SECOND, 31 * SECOND, 2 * MINUTE)),
        promoted=limits,
        reclaimed=limits,
        pruned=limits,
    )
    def sweep(self, by: timedelta, promoted: int, reclaimed: int, pruned: int) -> None:
        self.clock.advance(by)
        self.same(lambda engine: engine.promote(promoted))
        self.same(lambda engine: engine.reclaim(reclaimed))
        self.same(lambda engine: engine.prune(pruned))

    @rule(times=st.integers(1, 3))
    def crash(self, times: int) -> None:
        """Every worker dies, again and again; all that they held is taken back."""
        for _ in range(times):
            self.clock.advance(2 * MINUTE)
            refs = list(self.held.values())
            self.same(lambda engine: engine.reclaim(100))
            self.settle([Settlement(ref, Completed(b"late")) for ref in refs])
            self.claim_everything(9)

    @rule(by=st.sampled_from((TICK, 10 * SECOND, MINUTE, timedelta(days=8))))
    def advance(self, by: timedelta) -> None:
        self.clock.advance(by)

    # operate

    @rule(chosen=st.lists(ids, min_size=1, max_size=4), reason=reasons)
    def cancel(self, chosen: list[str], reason: str) -> None:
        self.same(lambda engine: engine.cancel(chosen, reason))

    @rule(chosen=st.lists(ids, min_size=1, max_size=4))
    def retry(self, chosen: list[str]) -> None:
        self.same(lambda engine: engine.retry(chosen))

    @rule(chosen=st.lists(ids, min_size=1, max_size=2))
    def remove(self, chosen: list[str]) -> None:
        self.same(lambda engine: engine.remove(chosen))

    @rule(queue=queues, paused=st.booleans())
    def pause_a_queue(self, queue: str, paused: bool) -> None:
        self.same(lambda engine: engine.pause(queue, paused=paused))

    @rule(definition=definitions)
    def define_a_queue(self, definition: QueueDefinition) -> None:
        self.same(lambda engine: engine.configure([definition]))

    @rule(
        key=st.sampled_from(("k", "k/1")),
        body=st.none() | st.just(b"body"),
        if_version=st.none() | st.integers(0, 2),
    )
    def put(self, key: str, body: bytes | None, if_version: int | None) -> None:
        self.same(lambda engine: engine.put([Put("kind", key, body, if_version)]))
        self.same(lambda engine: engine.documents("kind", "k"))

    @rule()
    def reopen(self) -> None:
        """Go on in another session; the one before is closed."""
        before, self.engine = self.engine, self.engine.session()
        self.runner.run(before.close())

    # observe

    @rule(
        query=st.builds(
            TaskQuery,
            tags=st.sampled_from(((), ("t",), ("u", "t"))),
            queues=st.sampled_from((frozenset(), frozenset("a"))),
            fingerprint=st.sampled_from((None, "f1")),
            error_contains=st.sampled_from((None, "50% B", "A.c")),
            enqueued_from=st.none() | instants,
            before=st.none() | ids,
            limit=st.integers(1, 4),
        )
    )
    def find(self, query: TaskQuery) -> None:
        pages = [self.runner.run(each.find(query)) for each in (self.oracle, self.engine)]
        assert pages[1].tasks == pages[0].tasks
        assert (pages[1].cursor is None) == (pages[0].cursor is None)

    @invariant()
    def shows_the_same_state(self) -> None:
        found = self.same(self._everything)
        assert len({task.id for task in found}) == len(found)
        self.same(self._stats)

    @invariant()
    def tells_the_same_of_schedules_and_history(self) -> None:
        self.same(lambda engine: engine.marks(["s1", "s2", "s3"], 50))
        now = from_micros(self.clock.now())
        for resolution in Resolution:
            kept = resolution.kept or timedelta(days=400)
            query = HistoryQuery(since=now - kept, until=now + TICK, resolution=resolution)
            self.same(partial(_history, query=query))
            self.same(partial(_history, query=msgspec.structs.replace(query, together=True)))

    @invariant()
    def tells_the_same_feed(self) -> None:
        told = []
        for position, each in enumerate((self.oracle, self.engine)):
            page = self.runner.run(each.feed(self.cursors[position], 1000, NO_TIME))
            self.cursors[position] = page.cursor
            told.append([(e.cause, e.task_id, e.state, e.attempt, e.at) for e in page.entries])
        assert told[1] == told[0]

    @staticmethod
    async def _everything(engine: Engine) -> Any:
        return (await engine.find(TaskQuery(details=True, limit=1000))).tasks

    async def _stats(self, engine: Engine) -> Stats:
        """Without what an engine that orders by lane need not know exactly."""
        stats = await engine.stats()
        if not self.by_lane:
            return stats
        replace = msgspec.structs.replace
        return replace(
            stats, queues=tuple(replace(each, oldest_pending_at=None) for each in stats.queues)
        )


async def _enqueued(engine: Engine, batch: Sequence[NewTask]) -> list[Enqueued] | str:
    try:
        return await engine.enqueue(batch)
    except QueueFull as full:
        return str(full)


async def _history(engine: Engine, query: HistoryQuery) -> list[Tally]:
    return await engine.history(query)


EXAMPLES = os.environ.get("TIDEMILL_MODEL_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 100),
    stateful_step_count=40,
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


OWN_SANITY = {"memory", "lanes"}
"""These are compared with themselves, for the model's own sanity."""


@pytest.mark.timeout(3600 if EXAMPLES else 600)  # shrinking a history takes up to five minutes
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_answers_every_call_as_the_memory_engine_does(
    name: str, servers: Servers
) -> None:
    class Compared(Model):
        def __init__(self) -> None:
            super().__init__(ENGINES[name], servers)

    few = settings(SETTINGS, max_examples=20)
    run_state_machine_as_test(Compared, settings=few if name in OWN_SANITY else SETTINGS)
