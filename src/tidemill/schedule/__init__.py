"""What fires when: the definition of a schedule, and pure functions over it.

A schedule is kept as a document. Whoever runs a scheduler works out the same firings from the same
definition, mark and now: nothing here looks at a clock.

- timing.py: `Cron`, `Every`, `Once`, and the instants of each
- definition.py: the schedule, its policies, its form as a document
- planning.py: what is due, what was missed, what comes next
"""

from tidemill.schedule.definition import (
    LARGEST_MISFIRE_LIMIT,
    Misfire,
    Overlap,
    Schedule,
    checked_schedule,
    decode,
    encode,
)
from tidemill.schedule.planning import (
    FIRINGS_AT_ONCE,
    Plan,
    fired_task,
    next_instant,
    plan,
    upcoming,
)
from tidemill.schedule.timing import Cron, Every, Once, Timing, checked

__all__ = [
    "FIRINGS_AT_ONCE",
    "LARGEST_MISFIRE_LIMIT",
    "Cron",
    "Every",
    "Misfire",
    "Once",
    "Overlap",
    "Plan",
    "Schedule",
    "Timing",
    "checked",
    "checked_schedule",
    "decode",
    "encode",
    "fired_task",
    "next_instant",
    "plan",
    "upcoming",
]
