"""What a worker tells of itself whenever metrics are read."""

from collections.abc import Callable, Mapping

from tidemill.metrics import Family, Sample, Source
from tidemill.worker.slots import Slots


def gauges(slots: Mapping[str, Slots], running: Callable[[], int]) -> Source:
    """The slots of each pool by its name, how many are taken, and how many tasks are held."""

    def tell() -> list[Family]:
        sizes = tuple(Sample((name,), each.size) for name, each in slots.items())
        used = tuple(Sample((name,), each.size - each.free) for name, each in slots.items())
        return [
            Family("tidemill_pool_slots", "gauge", "Tasks that may run at once.", ("pool",), sizes),
            Family("tidemill_pool_slots_used", "gauge", "Slots that are taken.", ("pool",), used),
            Family(
                "tidemill_worker_tasks",
                "gauge",
                "Tasks that the worker holds: running, or ended and not settled yet.",
                (),
                (Sample((), running()),),
            ),
        ]

    return tell
