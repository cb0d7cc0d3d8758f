"""Measure Tidemill and print each figure beside its budget.

`make bench` runs everything on SQLite; `make bench ARGS="--engine valkey"` on a Valkey server, and
`--quick` either with small numbers. `--only loops,latency` chooses parts, `--peers Celery,BullMQ`
the systems of the part `peers`. `--json` and `--markdown` name files.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from arena import KINDS, opened, store
from batches import batches
from blocked import blocked
from contest import Effort, contest
from crowded import crowded
from figures import Figure, Machine, machine, markdown
from history import history
from limits import limits
from observed import observed
from pruning import pruning
from reads import reads
from resident import at_rest, latency, recovery
from schedules import schedules
from scrapes import scrapes
from servers import ALLOCATOR
from starting import starts
from throughput import enqueues, loops
from weight import weights
from workflows import workflows


class Sizes(msgspec.Struct, frozen=True):
    """How much is measured; the defaults are the full run."""

    tasks: int = 60_000
    rounds: int = 3
    ballast: int = 1_000_000
    samples: int = 1_000
    many: int = 100_000
    idle: float = 10.0
    starts: int = 9
    seconds: float = 4.0
    schedules: int = 10_000
    minute: float = 60.0
    spent: int = 500_000
    ready: int = 20_000
    chord: int = 10_000
    peers: tuple[str, ...] = ()


QUICK = Sizes(
    tasks=10_000,
    rounds=2,
    ballast=50_000,
    samples=200,
    many=10_000,
    idle=3.0,
    starts=3,
    seconds=1.0,
    schedules=1_000,
    minute=10.0,
    spent=20_000,
    ready=5_000,
    chord=2_000,
)

Part = Callable[[str, Sizes], Coroutine[Any, Any, list[Figure]]]


async def _starts(_: str, sizes: Sizes) -> list[Figure]:
    return await asyncio.to_thread(starts, sizes.starts)


async def _peers(kind: str, sizes: Sizes) -> list[Figure]:
    effort = Effort(
        tasks=sizes.tasks,
        seconds=sizes.seconds,
        rounds=sizes.rounds,
        samples=sizes.samples // 2,
    )
    return await asyncio.to_thread(contest, kind, sizes.peers, effort)


PARTS: dict[str, Part] = {
    "starts": _starts,
    "loops": lambda kind, of: loops(kind, of.tasks, of.rounds),
    "peers": _peers,
    "enqueues": lambda kind, of: enqueues(kind, of.tasks, of.rounds),
    "batches": lambda kind, of: batches(kind, of.tasks // 3, of.rounds),
    "latency": lambda kind, of: latency(kind, of.samples),
    "rest": lambda kind, of: at_rest(kind, of.many, of.idle),
    "recovery": lambda kind, _: recovery(kind, 3),
    "reads": lambda kind, of: reads(kind, of.ballast, of.samples),
    "schedules": lambda kind, of: schedules(kind, of.schedules, of.minute),
    "history": lambda kind, of: history(kind, of.ballast, of.tasks, of.samples // 20),
    "pruning": lambda kind, of: pruning(kind, of.spent),
    "blocked": lambda kind, of: blocked(kind, of.ready, of.rounds, of.many),
    "limits": lambda kind, of: limits(kind, of.tasks, of.rounds),
    "observed": lambda kind, of: observed(kind, of.tasks, of.rounds),
    "scrapes": lambda kind, of: scrapes(kind, of.many // 2),
    "workflows": lambda kind, of: workflows(kind, of.chord, of.rounds),
    "memory": lambda kind, of: weights(kind, of.many),
    "stores": lambda kind, of: crowded(kind, of.tasks, of.rounds, of.ballast, of.samples // 2),
}


class Published(msgspec.Struct, frozen=True):
    """One whole run."""

    machine: Machine
    sizes: Sizes
    figures: list[Figure]
    seconds: float


def main() -> int:
    """Measure and print; budgets that are missed are shown, they do not fail the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="sqlite", choices=KINDS)
    parser.add_argument("--quick", action="store_true", help="small numbers")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--peers", help="of these only, by name: Tidemill,Celery,BullMQ")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--markdown", type=Path, help="write the table there")
    said = parser.parse_args()
    sizes = QUICK if said.quick else Sizes()
    if said.peers:
        sizes = msgspec.structs.replace(sizes, peers=tuple(said.peers.split(",")))
    began = time.monotonic()
    on = machine(uvloop.run(_engine(said.engine)))
    figures: list[Figure] = []
    for name in said.only.split(","):
        part_began = time.monotonic()
        print(f"{name} …", file=sys.stderr, end=" ", flush=True)
        figures += uvloop.run(PARTS[name](said.engine, sizes))
        print(f"{time.monotonic() - part_began:.0f} s", file=sys.stderr, flush=True)
    table = markdown(figures, on)
    print(table)
    if said.markdown:
        said.markdown.write_text(table, "utf-8")
    if said.json:
        run = Published(on, sizes, figures, time.monotonic() - began)
        said.json.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    return 0


async def _engine(kind: str) -> str:
    """What the engine says of itself."""
    with store(kind) as url:
        async with opened(url) as engine:
            info = engine.info
            versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
            with_jemalloc = "; with jemalloc" if kind == "valkey" and ALLOCATOR else ""
            return f"{info.name} ({versions}{with_jemalloc}; durability {info.durability})"


if __name__ == "__main__":
    sys.exit(main())
