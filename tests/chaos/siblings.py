"""The last two tasks before a join are settled at one moment by two that may die of it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from tests.chaos.app import NAP
from tests.chaos.graph import early, twice
from tests.chaos.history import ends, lives
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import AnyStore, opened
from tidemill import Engine, EngineUnavailable
from tidemill.engine import ClaimRequest
from tidemill.engines import open_engine
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement
from tidemill.task import After, Claim, NewTask
from tidemill.testing import Fault, FlakyEngine, scripted

LEASE: Final = timedelta(milliseconds=50)
ELSEWHERE: Final = (("left", "right", "joins", "roots"), ("left", "left", "joins", "left"))
"""Queues of the two, the join and the root."""
TOGETHER: Final = ("left",) * 4
LONGEST_CUT: Final = 0.003
"""Seconds within which a settlement is given up whose caller is killed."""
STEP: Final = 0.002


class Fate(StrEnum):
    """What becomes of whoever settles one of the two."""

    CALM = "calm"
    REPEATED = "answer lost, settled again"
    DEAF = "answer lost, killed"
    EARLY = "killed before"
    CUT = "killed meanwhile"
    CUT_REPEATED = "cut off meanwhile, settled again"


class Siblings(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it. `patience` is for each round, in seconds."""

    rounds: int = 200
    patience: float = 20.0


async def siblings(
    folder: Path, seed: int, wanted: Siblings, *, store: AnyStore = "sqlite", quiet: bool = False
) -> Report:
    """Run the campaign and judge it."""
    rng = random.Random(seed)
    with opened(store, folder) as url:
        async with (
            stage(folder, "siblings", url, quiet=quiet) as on,
            _others(on, url, 4) as (*two, heir, other),
        ):
            made: list[NewTask] = []
            fates: Counter[str] = Counter()
            broken: list[str] = []
            for number in range(wanted.rounds):
                on.ticker.tell(number, wanted.rounds, "rounds")
                chosen = [rng.choice(list(Fate)) for _ in two]
                fates.update(chosen)
                tasks = _drawn(on, rng)
                made += tasks
                await on.enqueue(tasks)
                try:
                    async with asyncio.timeout(wanted.patience):
                        await _settled(two, tasks[:2], chosen, rng)
                        await _inherited((heir, other), tasks[3].id, on)
                except TimeoutError:
                    states = [task.state for task in (await on.tasks(on.accepted[-4:])).values()]
                    broken.append(f"round {number} ({', '.join(chosen)}): {', '.join(states)}")
            return await _judge(on, repeat("siblings", seed, store, wanted), made, fates, broken)


@asynccontextmanager
async def _others(on: Stage, url: str, number: int) -> AsyncIterator[list[Engine]]:
    """Engines of others on the same store, as far as it has any beyond this process."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            engine = on.engine.session() if url == "memory://" else open_engine(url)
            stack.push_async_callback(engine.close)
            await engine.migrate()
            made.append(engine)
        yield made


def _drawn(on: Stage, rng: random.Random) -> list[NewTask]:
    queues = rng.choice((*ELSEWHERE, TOGETHER))
    one, two = (on.new(0.0, queue=queue) for queue in queues[:2])
    join = on.new(0.0, queue=queues[2], after=After((one.id, two.id)))
    members = one.id, two.id, join.id
    return [one, two, join, on.new(0.0, queue=queues[3], after=After(members, joins=True))]


async def _settled(
    engines: Sequence[Engine], tasks: Sequence[NewTask], fates: Sequence[Fate], rng: random.Random
) -> None:
    """Each claims one of the two; then both settle at one moment."""
    claims = [
        await _claimed(engine, 1, (task.queue,))
        for engine, task in zip(engines, tasks, strict=True)
    ]
    assert sum(map(len, claims)) == len(tasks), f"{claims} of {tasks}"
    cuts = [rng.uniform(0, LONGEST_CUT) for _ in fates]
    await asyncio.gather(
        *(
            _settle(engine, claim, fate, cut)
            for engine, [claim], fate, cut in zip(engines, claims, fates, cuts, strict=True)
        )
    )


async def _settle(engine: Engine, claim: Claim, fate: Fate, cut: float) -> None:
    done = [Settlement(claim.ref, Completed())]
    match fate:
        case Fate.CALM:
            await engine.settle(done)
        case Fate.REPEATED | Fate.DEAF:
            with suppress(EngineUnavailable):
                await FlakyEngine(engine, scripted(settle=[Fault.AFTER])).settle(done)
        case Fate.CUT | Fate.CUT_REPEATED:
            with suppress(TimeoutError):
                await asyncio.wait_for(engine.settle(done), cut)
        case Fate.EARLY:
            pass
    if fate in {Fate.REPEATED, Fate.CUT_REPEATED}:
        await engine.settle(done)


async def _inherited(heirs: Sequence[Engine], root: str, on: Stage) -> None:
    """Two others do what is left, against each other, until the root has ended."""

    async def work(engine: Engine) -> None:
        await engine.reclaim(10)
        await engine.promote(10)
        done = [Settlement(claim.ref, Completed()) for claim in await _claimed(engine, 10, None)]
        await engine.settle(done)

    while not (await on.tasks([root]))[root].state.final:
        await asyncio.gather(*map(work, heirs))
        await asyncio.sleep(STEP)


async def _claimed(engine: Engine, limit: int, queues: tuple[str, ...] | None) -> list[Claim]:
    claim_id = IdMaker().make()
    return await engine.claim(
        ClaimRequest(
            claim_id=claim_id,
            worker=claim_id,
            queues=queues,
            task_types=frozenset({NAP}),
            limit=limit,
            alone=limit,
            lease=LEASE,
        )
    )


async def _judge(
    on: Stage, command: str, made: Sequence[NewTask], fates: Counter[str], broken: list[str]
) -> Report:
    history = await on.history()
    joins = {task.id for task in made if task.after is not None and not task.after.joins}
    claims = Counter(entry.task_id for entry in on.feed if entry.cause == "claimed")
    again = Counter(entry.task_id for entry in on.feed if entry.cause == "reclaimed")
    broken += ends(history) + lives(history) + early(made, on.feed) + twice(made, on.feed)
    broken += [
        f"{each}: a join that was claimed {claims[each]} times, and reclaimed {again[each]} times"
        for each in sorted(joins)
        if claims[each] != 1 + again[each]
    ]
    if broken:
        on.keep(history)
    figures = [("rounds", str(len(joins))), *((str(fate), str(n)) for fate, n in fates.items())]
    return Report("siblings", command, figures, broken)
