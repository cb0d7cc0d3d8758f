"""The campaigns by name, with what they may be given."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tests.chaos.contention import Contention, contention
from tests.chaos.disk import Disk, disk
from tests.chaos.failovers import Failovers, failovers
from tests.chaos.kills import Kills, kills
from tests.chaos.poison import Poison, poison
from tests.chaos.report import Report
from tests.chaos.schedules import Schedules, schedules
from tests.chaos.servers import Servers, servers
from tests.chaos.stores import SERVED, STORES, StoreName
from tests.chaos.zombie import Zombie, zombie

Run = Callable[..., Coroutine[Any, Any, Report]]


@dataclass(frozen=True, slots=True)
class Campaign:
    """What runs it, how its size is said, and the stores it is about, the usual one first."""

    run: Run
    size: type[msgspec.Struct]
    stores: tuple[StoreName, ...] = STORES


CAMPAIGNS: Final = {
    "kills": Campaign(kills, Kills),
    "zombie": Campaign(zombie, Zombie),
    "poison": Campaign(poison, Poison),
    "contention": Campaign(contention, Contention),
    "schedules": Campaign(schedules, Schedules),
    "servers": Campaign(servers, Servers, SERVED),
    "failovers": Campaign(failovers, Failovers, SERVED),
    "disk": Campaign(disk, Disk, ("sqlite",)),
}
