"""The campaigns by name, with what they may be given."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tests.chaos.alerts import Alerts, alerts
from tests.chaos.chord import Chord, chord
from tests.chaos.concurrency import Concurrency, concurrency
from tests.chaos.contention import Contention, contention
from tests.chaos.dag import Dag, dag
from tests.chaos.disk import Disk, disk
from tests.chaos.failovers import Failovers, failovers
from tests.chaos.fairness import Fairness, fairness
from tests.chaos.kills import Kills, kills
from tests.chaos.poison import Poison, poison
from tests.chaos.rates import Rates, rates
from tests.chaos.report import Report
from tests.chaos.schedules import Schedules, schedules
from tests.chaos.servers import Servers, servers
from tests.chaos.siblings import Siblings, siblings
from tests.chaos.stores import SERVED, STORES, AnyStore
from tests.chaos.zombie import Zombie, zombie

Run = Callable[..., Coroutine[Any, Any, Report]]


@dataclass(frozen=True, slots=True)
class Campaign:
    """What runs it, how its size is said, and the stores it is about, the usual one first."""

    run: Run
    size: type[msgspec.Struct]
    stores: tuple[AnyStore, ...] = STORES


CAMPAIGNS: Final = {
    "kills": Campaign(kills, Kills),
    "zombie": Campaign(zombie, Zombie),
    "poison": Campaign(poison, Poison),
    "contention": Campaign(contention, Contention),
    "schedules": Campaign(schedules, Schedules),
    "servers": Campaign(servers, Servers, SERVED),
    "failovers": Campaign(failovers, Failovers, SERVED),
    "fairness": Campaign(fairness, Fairness),
    "rates": Campaign(rates, Rates),
    "concurrency": Campaign(concurrency, Concurrency),
    "chord": Campaign(chord, Chord),
    "siblings": Campaign(siblings, Siblings, (*STORES, "memory")),
    "dag": Campaign(dag, Dag),
    "alerts": Campaign(alerts, Alerts),
    "disk": Campaign(disk, Disk, ("sqlite",)),
}
