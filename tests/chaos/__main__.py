"""`python -m tests.chaos all --seed 7`: run campaigns and say what they found."""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from tests.chaos.contention import Contention, contention
from tests.chaos.disk import Disk, disk
from tests.chaos.kills import Kills, kills
from tests.chaos.poison import Poison, poison
from tests.chaos.report import Report
from tests.chaos.zombie import Zombie, zombie

Campaign = Callable[..., Coroutine[Any, Any, Report]]
CAMPAIGNS: dict[str, tuple[Campaign, type[msgspec.Struct]]] = {
    "kills": (kills, Kills),
    "zombie": (zombie, Zombie),
    "poison": (poison, Poison),
    "contention": (contention, Contention),
    "disk": (disk, Disk),
}


def main() -> int:
    """Run what was asked for; 1 when an invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("campaign", nargs="?", default="all", choices=["all", *CAMPAIGNS])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--quiet", action="store_true", help="no progress, the reports only")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="change a campaign's size, such as tasks=300 or kills=6",
    )
    said = parser.parse_args()
    # Workers read this variable too; a campaign must never meet somebody's real store.
    os.environ.pop("TIDEMILL_URL", None)
    sizes = {name: msgspec.json.decode(text) for name, _, text in map(_split, said.set)}
    names = list(CAMPAIGNS) if said.campaign == "all" else [said.campaign]
    broken = False
    for name in names:
        broken |= _run(name, said.seed, sizes, quiet=said.quiet)
    return 1 if broken else 0


def _split(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _run(name: str, seed: int, sizes: dict[str, float], *, quiet: bool) -> bool:
    campaign, kind = CAMPAIGNS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"tidemill-{name}-"))
    report = asyncio.run(campaign(folder, seed, msgspec.convert(sizes, kind), quiet=quiet))
    print(report.text, flush=True)
    if report.broken:
        print(f"  kept: {folder}")
    else:
        shutil.rmtree(folder)
    return bool(report.broken)


if __name__ == "__main__":
    sys.exit(main())
