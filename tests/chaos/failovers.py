"""A primary is replaced under load, by order and by its death: everybody goes on, and what is lost?

With `?replicas=1` an answer means that the replica has it (WAIT), so that nothing that was answered
may be lost, and a write that the replica does not confirm must raise. Without it Redis and Valkey
promise nothing: what a failover took is counted. That is all that the old primary answered after
its replica was promoted; these sentinels turn it into a replica within two seconds, those with
their ordinary periods took 11 s in a trial.
"""

import asyncio
import random
import time
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.facts import aside, until
from tests.chaos.history import History, ends, overlaps, undone
from tests.chaos.producer import Producer
from tests.chaos.report import Report, repeat, spread
from tests.chaos.resumption import resumed, shifts
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName
from tests.chaos.workers import WorkerFell
from tests.servers.guarded import Guarded, guarded

RESUME: Final = 10.0
"""Seconds after a failover within which everybody must be back at work."""
LOOK_EVERY: Final = 0.25
LARGEST_BATCH: Final = 5


class Failovers(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it, once with WAIT and once without. `lease` is in seconds."""

    failovers: int = 3
    workers: int = 2
    producers: int = 2
    concurrency: int = 8
    lease: float = 8.0
    patience: float = 120.0


async def failovers(
    folder: Path, seed: int, wanted: Failovers, *, store: StoreName = "valkey", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    assert store != "sqlite"
    rng = random.Random(seed)
    sizes = {"concurrency": wanted.concurrency, "lease": wanted.lease, "heartbeat": 1.0}
    figures: list[tuple[str, str]] = []
    broken: list[str] = []
    for name, replicas in (("with WAIT", 1), ("without", 0)):
        place = folder / f"replicas{replicas}"
        with guarded(place, kind=store) as group:
            url = f"{group.url}?replicas={replicas}"
            async with stage(place, f"failovers {name}", url, quiet=quiet, **sizes) as on:
                run = _Run(on, group, wanted, rng, confirmed=bool(replicas))
                await run.attack()
                found = await run.judge()
        figures += [(f"{name}: {what}", value) for what, value in found]
        broken += [f"{name}: {text}" for text in run.broken]
    return Report("failovers", repeat("failovers", seed, store, wanted), figures, broken)


class _Run:
    """One half of the campaign: servers, those who use them, and what was seen."""

    def __init__(
        self,
        on: Stage,
        group: Guarded,
        wanted: Failovers,
        rng: random.Random,
        *,
        confirmed: bool,
    ) -> None:
        self.broken: list[str] = []
        self._on = on
        self._group = group
        self._wanted = wanted
        self._rng = rng
        self._confirmed = confirmed
        self._crowd = [Producer(on, on.engine.session()) for _ in range(wanted.producers)]
        self._ends: list[int] = []
        self._took: list[float] = []
        self._unconfirmed = 0

    async def attack(self) -> None:
        """Fail over again and again while tasks are enqueued and run; then wait for the rest."""
        on, patience = self._on, self._wanted.patience
        for _ in range(self._wanted.workers):
            on.crew.start()
        over = asyncio.Event()
        try:
            async with asyncio.timeout(patience):
                async with asyncio.TaskGroup() as group:
                    for producer in self._crowd:
                        rng = random.Random(self._rng.random())
                        group.create_task(_produce(producer, rng, over))
                    await self._fail_over()
                    over.set()
                if not await on.drained(patience, len(on.accepted), "drain"):
                    self.broken.append(f"not drained: {dict(await on.counts())}")
                on.crew.check()
        except* WorkerFell as fell:
            self.broken += map(str, fell.exceptions)
        except* TimeoutError:
            self.broken.append(f"not over after {patience:g} s: {dict(await on.counts())}")
        finally:
            for producer in self._crowd:
                await producer.session.close()

    async def _fail_over(self) -> None:
        await until(lambda: len(shifts(self._on.read())) == self._wanted.workers, 20)
        await self._everybody(time.monotonic_ns())
        kinds = [number % 2 == 1 for number in range(self._wanted.failovers)]
        self._rng.shuffle(kinds)
        for number, kill in enumerate(kinds, 1):
            self._on.ticker.tell(number, len(kinds), "killed" if kill else "ordered")
            began = time.monotonic_ns()
            await aside(partial(self._group.fail_over, kill=kill))
            if kill and self._confirmed:  # until it is back, nobody can confirm anything
                await aside(self._group.mend)
            self._ends.append(time.monotonic_ns())
            self._took.append((self._ends[-1] - began) / 1e9)
            if kill and not self._confirmed:
                await aside(self._group.mend)
            await self._everybody(self._ends[-1])
        if self._confirmed:
            await self._freeze_the_replica()

    async def _everybody(self, since: int) -> None:
        """Wait until each worker began, and each producer was answered, since an instant.

        Whoever is not back by then is named by the judge.
        """
        end = time.monotonic() + 2 * RESUME
        while time.monotonic() < end:
            self._on.crew.check()
            working = resumed(self._on.read(), [since])
            served = [wait for producer in self._crowd for wait in producer.answered([since])]
            if len(working) == self._wanted.workers and len(served) == self._wanted.producers:
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _freeze_the_replica(self) -> None:
        """While nobody confirms, every enqueue must raise."""
        replica = self._group.replica
        await aside(replica.freeze)
        frozen = time.monotonic_ns()
        if not await until(lambda: all(self._raised(each, frozen) for each in self._crowd), 20):
            self.broken.append("enqueues did not raise while the replica was frozen")
        thawed = time.monotonic_ns()
        replica.thaw()
        self._unconfirmed = sum(self._raised(each, frozen) for each in self._crowd)
        self.broken += [
            f"{len(ack.ids)} tasks were acknowledged while the replica was frozen"
            for producer in self._crowd
            for ack in producer.acks
            if ack.asked > frozen and ack.told < thawed
        ]
        await self._everybody(time.monotonic_ns())

    @staticmethod
    def _raised(producer: Producer, since: int) -> int:
        return sum(at > since for at in producer.raised)

    async def judge(self) -> list[tuple[str, str]]:
        """Add what broke to `broken`; answers the figures."""
        on = self._on
        counts = await on.counts()
        self.broken += [f"worker {pid} did not stop when asked" for pid in await on.crew.close()]
        history = await on.history()
        lost = [task_id for task_id in history.accepted if task_id not in history.tasks]
        again = undone(history)
        self.broken += self._late(history)
        if self._confirmed:
            self.broken += ends(history) + again + overlaps(history)
            if counts.total() != len(on.accepted):
                self.broken.append(f"{len(on.accepted)} accepted, the engine counts {dict(counts)}")
        else:
            self.broken += [text for text in ends(history) if not text.endswith(": lost")]
        if self.broken:
            on.keep(history)
        raised = sum(len(producer.raised) for producer in self._crowd)
        producing = [wait for each in self._crowd for wait in each.answered(self._ends)]
        acknowledged = f"of {len(on.accepted)} acknowledged tasks"
        figures = [
            ("failovers took", ", ".join(f"{took:.1f} s" for took in self._took)),
            ("to a worker's next begin", spread(resumed(history.ledger, self._ends))),
            ("to a producer's next answer", spread(producing)),
            ("enqueues that raised and were repeated", str(raised)),
            ("lost", f"{len(lost)} {acknowledged}"),
            ("recorded as completed, and run again", f"{len(again)} {acknowledged}"),
        ]
        if self._confirmed:
            figures.append(("raised while the replica was frozen", str(self._unconfirmed)))
        return figures

    def _late(self, history: History) -> list[str]:
        """Who was not back in time."""
        wrong = []
        for number, end in enumerate(self._ends, 1):
            working = resumed(history.ledger, [end])
            served = [wait for producer in self._crowd for wait in producer.answered([end])]
            for what, waits, all_ in (
                ("workers", working, self._wanted.workers),
                ("producers", served, self._wanted.producers),
            ):
                back = sum(wait <= RESUME for wait in waits)
                if back < all_:
                    wrong.append(
                        f"{back} of {all_} {what} were back {RESUME:g} s after failover {number}"
                    )
        return wrong


async def _produce(producer: Producer, rng: random.Random, over: asyncio.Event) -> None:
    while not over.is_set():
        await producer.put([rng.uniform(0.01, 0.05) for _ in range(rng.randint(1, LARGEST_BATCH))])
        await asyncio.sleep(rng.uniform(0.01, 0.05))
