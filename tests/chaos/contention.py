"""Many processes enqueue, claim and settle on one store at once."""

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from tests.chaos.app import NAP, Plan, build
from tests.chaos.ledger import Entry, Ledger
from tests.chaos.report import Report, repeat
from tests.chaos.stage import Stage, stage
from tests.chaos.stores import StoreName, opened
from tests.chaos.tether import tether
from tests.chaos.workers import ROOT
from tidemill import Engine, State, Tidemill
from tidemill.engine import ClaimRequest
from tidemill.ids import IdMaker
from tidemill.outcome import Completed, Settlement

LEASE = timedelta(seconds=30)


class Contention(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it."""

    processes: int = 8
    seconds: float = 60.0
    patience: float = 120.0


async def contention(
    folder: Path,
    seed: int,
    wanted: Contention,
    *,
    store: StoreName = "sqlite",
    quiet: bool = False,
) -> Report:
    """Run the campaign and judge it."""
    with opened(store, folder) as url:
        async with stage(folder, "contention", url, quiet=quiet) as on:
            return await _run(on, seed, wanted, repeat("contention", seed, store, wanted))


async def _run(on: Stage, seed: int, wanted: Contention, command: str) -> Report:
    (on.folder / "plan.json").write_bytes(msgspec.json.encode(on.plan))
    began = time.monotonic()
    crowd = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.contention"),
            *(str(on.folder), str(seed * 1_000 + number), str(wanted.seconds)),
            cwd=ROOT,
        )
        for number in range(wanted.processes)
    ]
    broken = []
    try:
        async with asyncio.timeout(wanted.seconds + wanted.patience):
            while any(process.returncode is None for process in crowd):
                gone = int(min(time.monotonic() - began, wanted.seconds))
                on.ticker.tell(gone, int(wanted.seconds), "seconds")
                await asyncio.sleep(0.2)
    except TimeoutError:
        broken.append(f"processes still busy {wanted.patience:g} s after the end")
    for process in crowd:
        if process.returncode is None:
            process.kill()
        if await process.wait():
            broken.append(f"process {process.pid} ended with {process.returncode}")
    took = time.monotonic() - began
    entries, counts = on.read(), await on.counts()
    broken += _judge(entries, counts)
    ends = sum(entry.phase == "end" for entry in entries)
    figures = [
        ("processes", f"{wanted.processes} for {wanted.seconds:g} s, and the rest drained"),
        ("enqueued, claimed, settled once", str(ends)),
        ("through", f"{ends / took:,.0f} tasks/s"),
        ("longest round of enqueue, claim, settle", _longest(entries)),
    ]
    return Report("contention", command, figures, broken)


def _judge(entries: Sequence[Entry], counts: Counter[State]) -> list[str]:
    """Errors that reached somebody, tasks held twice at a time, and tasks that do not add up."""
    broken = [f"an error reached {e.pid}: {e.note}" for e in entries if e.phase == "error"]
    held: dict[str, Entry] = {}
    ended: Counter[str] = Counter()
    for entry in entries:
        if entry.phase == "begin":
            if entry.task_id in held:
                broken.append(f"{entry.task_id}: held by {held[entry.task_id].pid} and {entry.pid}")
            held[entry.task_id] = entry
        elif entry.phase == "end":
            held.pop(entry.task_id, None)
            ended[entry.task_id] += 1
        elif entry.phase == "lost":
            broken.append(f"{entry.task_id}: settlement of token {entry.attempt} was stale")
    broken += [f"{task_id}: settled {n} times" for task_id, n in ended.items() if n != 1]
    accepted = sum(int(e.note.partition(" ")[0]) for e in entries if e.phase == "ready")
    if not accepted == len(ended) == counts[State.COMPLETED] == counts.total():
        broken.append(
            f"{accepted} accepted, {len(ended)} settled, the engine counts {dict(counts)}"
        )
    return broken


def _longest(entries: Sequence[Entry]) -> str:
    return max(
        (entry.note.partition(" ")[2] for entry in entries if entry.phase == "ready"),
        key=lambda text: float(text.partition(" ")[0]),
        default="",
    )


async def contend(folder: Path, seed: int, seconds: float) -> None:
    """What one process of the crowd does: all verbs at random, then help to drain."""
    plan = msgspec.json.decode((folder / "plan.json").read_bytes(), type=Plan)
    tether(plan.conductor)
    app, ledger = build(plan), Ledger(Path(plan.ledger))
    rng, ids, until = random.Random(seed), IdMaker(), time.monotonic() + seconds
    accepted, longest = 0, 0.0
    try:
        engine = await app.engine()
        while True:
            began = time.monotonic()
            open_ = began < until
            if open_:
                accepted += await _enqueue(app, rng.randrange(1, 20))
            took = await _work(engine, ledger, ids.make(), rng.randrange(1, 25))
            longest = max(longest, time.monotonic() - began)
            if not open_ and not took and not await _waiting(engine):
                break
        await app.close()
    except Exception as error:
        ledger.write("error", note=f"{type(error).__name__}: {error}")
        raise
    ledger.write("ready", note=f"{accepted} {longest:.2f} s")


async def _enqueue(app: Tidemill, count: int) -> int:
    return len(await app.function(NAP).enqueue_many([{"seconds": 0}] * count))


async def _work(engine: Engine, ledger: Ledger, claim_id: str, limit: int) -> int:
    claims = await engine.claim(
        ClaimRequest(
            claim_id=claim_id,
            worker=claim_id,
            queues=None,
            task_types=frozenset({NAP}),
            limit=limit,
            alone=limit,
            lease=LEASE,
        )
    )
    for claim in claims:
        ledger.write("begin", claim.ref.task_id, claim.ref.token)
    await asyncio.sleep(0)
    done = [Settlement(claim.ref, Completed()) for claim in claims]
    # What is written after the settlement cannot be overtaken by another claim: it is final.
    for claim, state in zip(claims, await engine.settle(done), strict=True):
        ledger.write(
            "end" if state is State.COMPLETED else "lost", claim.ref.task_id, claim.ref.token
        )
    return len(claims)


async def _waiting(engine: Engine) -> bool:
    return any(count.state is State.PENDING for count in (await engine.stats()).counts)


if __name__ == "__main__":
    asyncio.run(contend(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
