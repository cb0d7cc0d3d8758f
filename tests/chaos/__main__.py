"""`python -m tests.chaos all --seed 7`: run campaigns and say what they found."""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.chaos.campaigns import CAMPAIGNS, Campaign
from tests.chaos.stores import STORES, AnyStore


def main() -> int:
    """Run what was asked for; 1 when an invariant broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="campaign", help="default: all of them")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument(
        "--store", choices=(*STORES, "memory"), help="default: the first that a campaign can"
    )
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
    broken = False
    for campaign in _chosen(parser, said.campaigns, said.store):
        store: AnyStore = said.store or campaign.stores[0]
        broken |= _run(campaign, said.seed, sizes, store, quiet=said.quiet)
    return 1 if broken else 0


def _split(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _chosen(
    parser: argparse.ArgumentParser, names: list[str], store: AnyStore | None
) -> list[Campaign]:
    if not names or names == ["all"]:
        return [each for each in CAMPAIGNS.values() if store is None or store in each.stores]
    for name in names:
        if name not in CAMPAIGNS:
            parser.error(f"there is no campaign {name!r}: there are {', '.join(CAMPAIGNS)}, or all")
        if store is not None and store not in CAMPAIGNS[name].stores:
            parser.error(f"{name} runs on {', '.join(CAMPAIGNS[name].stores)} only")
    return [CAMPAIGNS[name] for name in names]


def _run(
    campaign: Campaign, seed: int, sizes: dict[str, float], store: AnyStore, *, quiet: bool
) -> bool:
    folder = Path(tempfile.mkdtemp(prefix=f"tidemill-{campaign.run.__name__}-"))
    wanted = msgspec.convert(sizes, campaign.size)
    report = asyncio.run(campaign.run(folder, seed, wanted, store=store, quiet=quiet))
    print(report.text, flush=True)
    if report.broken:
        print(f"  kept: {folder}")
    else:
        shutil.rmtree(folder)
    return bool(report.broken)


if __name__ == "__main__":
    sys.exit(main())
