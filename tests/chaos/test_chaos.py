"""Short forms of the campaigns; `make chaos` runs the long ones."""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.contention import Contention, contention
from tests.chaos.disk import Disk, disk
from tests.chaos.kills import Kills, kills
from tests.chaos.poison import Poison, poison
from tests.chaos.report import Report
from tests.chaos.zombie import Zombie, zombie

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

Campaign = Callable[..., Coroutine[Any, Any, Report]]
SEED = 20261122


@pytest.mark.parametrize(
    ("campaign", "size"),
    [
        (kills, Kills(tasks=300, kills=6, reclaimed=20, lease=1.5, patience=90)),
        (zombie, Zombie(tasks=8)),
        (poison, Poison(neighbours=60)),
        (contention, Contention(seconds=4)),
        (disk, Disk(tasks=50)),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
async def test_no_invariant_breaks_under(
    campaign: Campaign, size: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)
    report = await campaign(tmp_path, SEED, size, quiet=True)
    if report.skipped:
        pytest.skip(report.skipped)
    assert not report.broken, report.text
