"""Short forms of the campaigns; `make chaos` runs the long ones."""

import sys
from pathlib import Path

import pytest

from tests.chaos.alerts import Alerts
from tests.chaos.campaigns import CAMPAIGNS
from tests.chaos.chord import Chord
from tests.chaos.concurrency import Concurrency
from tests.chaos.contention import Contention
from tests.chaos.dag import Dag
from tests.chaos.disk import Disk
from tests.chaos.failovers import Failovers
from tests.chaos.fairness import Fairness
from tests.chaos.kills import Kills
from tests.chaos.poison import Poison
from tests.chaos.rates import Rates
from tests.chaos.schedules import Schedules
from tests.chaos.servers import Servers
from tests.chaos.siblings import Siblings
from tests.chaos.stores import AnyStore
from tests.chaos.zombie import Zombie

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

SEED = 20261122
SHORT = {
    "servers": Servers(
        tasks=1_500, kills=6, outages=2, workers=2, lease=6, reclaimed=50, patience=110
    ),
    "failovers": Failovers(failovers=2),
    "kills": Kills(tasks=300, kills=6, reclaimed=20, lease=1.5, patience=90),
    "contention": Contention(seconds=2),
    "poison": Poison(neighbours=60),
    "zombie": Zombie(tasks=8),
    "disk": Disk(tasks=50),
    # How soon, and how fully used, says nothing beside other tests either.
    "fairness": Fairness(
        tasks=6_000, trials=8, within=10, keys=40, of_each=30, lease=1, patience=60
    ),
    "rates": Rates(workers=2, seconds=3, used=0.3),
    "concurrency": Concurrency(tasks=160, kills=2, used=0.3, lease=1, patience=60),
    "chord": Chord(tasks=150, kills=4, workers=2, lease=1, patience=60),
    "siblings": Siblings(rounds=40),
    # How soon a worker is missed, beside other tests, says nothing.
    "alerts": Alerts(workers=2, flood=0, failing=1, lease=4, late=20, patience=60),
    "dag": Dag(nodes=120, depth=10, workers=2, failing=4, patience=60),
    # How late they are beside other tests says nothing: lags are what the long form is for.
    "schedules": Schedules(
        spread=300, burst=300, seconds=5, kill_every=1.5, lag=10, lag_of_burst=10
    ),
}


@pytest.mark.parametrize(
    ("name", "store"),
    [
        (name, store)
        for name in SHORT
        for store in ("sqlite", "valkey", "memory")
        if store in CAMPAIGNS[name].stores
    ],
)
async def test_no_invariant_breaks_under(
    name: str, store: AnyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEMILL_URL", raising=False)
    report = await CAMPAIGNS[name].run(tmp_path, SEED, SHORT[name], store=store, quiet=True)
    if report.skipped:
        pytest.skip(report.skipped)
    assert not report.broken, report.text


def test_every_campaign_has_a_short_form() -> None:
    assert SHORT.keys() == CAMPAIGNS.keys()
    assert all(isinstance(SHORT[name], CAMPAIGNS[name].size) for name in SHORT)
