"""Events as counts: what a process tells Prometheus of its tasks.

Most events are rare and counted one by one. Claims, settlements and enqueues come many tasks at a
time; each is a look into a dict and two additions (about a microsecond).
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from tidemill.app import Tidemill
from tidemill.events import (
    EngineLost,
    LeaseLost,
    ScheduleFired,
    ScheduleMissed,
    TaskReclaimed,
    TasksClaimed,
    TasksEnqueued,
    TasksSettled,
)
from tidemill.metrics import SECONDS, Bounded, Family, Labels, Sample, Spread

BATCHES: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
SETTLING: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
BY_TYPE: Final = ("queue", "task_type")

OUTCOMES: Final = {
    "completed": "Tasks that completed.",
    "failed": "Tasks that failed for good.",
    "retried": "Attempts that failed and are followed by another.",
    "cancelled": "Tasks that ended as cancelled while a worker had them.",
    "snoozed": "Attempts that asked to run later.",
    "waiting": "Attempts that gave up their slot until their children are final.",
    "released": "Tasks that a draining worker handed back.",
    "lost": "Attempts whose settlement came too late: the lease was another's.",
}


class _Counted:
    """What is counted of one task type in one queue."""

    __slots__ = ("outcomes", "ran", "waited")

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.ran = Spread(SECONDS)
        self.waited = Spread(SECONDS)


class TaskCounts:
    """Counts how tasks end, on the worker's loop only."""

    def __init__(self) -> None:
        self._bounded = Bounded(BY_TYPE)
        self._found: dict[Labels, _Counted] = {}

    def settled(self, event: TasksSettled) -> None:
        """Count one batch."""
        found = self._found
        for end in event.ends:
            place = (end.queue, end.task_type)
            counted = found.get(place)
            if counted is None:
                counted = self._new(place)
            counted.outcomes[end.outcome] += 1
            ran = counted.ran
            ran.counts[bisect_left(SECONDS, end.ran)] += 1
            ran.sum += end.ran
            waited = counted.waited
            waited.counts[bisect_left(SECONDS, end.waited)] += 1
            waited.sum += end.waited

    def _new(self, place: Labels) -> _Counted:
        return self._found.setdefault(self._bounded(place), _Counted())

    def families(self) -> Iterable[Family]:
        """What was counted."""
        items = sorted(self._found.items())
        for outcome, text in OUTCOMES.items():
            samples = tuple(
                Sample(place, counted.outcomes[outcome])
                for place, counted in items
                if counted.outcomes[outcome] or outcome in {"completed", "failed", "retried"}
            )
            yield Family(f"tidemill_tasks_{outcome}_total", "counter", text, BY_TYPE, samples)
        yield Family(
            "tidemill_task_run_seconds",
            "histogram",
            "How long attempts ran.",
            BY_TYPE,
            tuple(counted.ran.sample(place) for place, counted in items),
            SECONDS,
        )
        yield Family(
            "tidemill_task_wait_seconds",
            "histogram",
            "How long tasks had been due when they were claimed.",
            BY_TYPE,
            tuple(counted.waited.sample(place) for place, counted in items),
            SECONDS,
        )


def count_tasks(app: Tidemill) -> None:
    """Count in `app.metrics` what the events of this process tell; call it once."""
    counts = TaskCounts()
    app.bus.subscribe(TasksSettled, counts.settled)
    app.metrics.source(counts.families)
    _count_batches(app)
    _count_rare(app)


def _count_batches(app: Tidemill) -> None:
    metrics, bus = app.metrics, app.bus
    claims = metrics.counter("tidemill_claims_total", "Claims that brought tasks.")
    claimed = metrics.counter("tidemill_claimed_tasks_total", "Tasks that were claimed.")
    claiming = metrics.histogram(
        "tidemill_claim_seconds", "How long such claims took.", bounds=SETTLING
    )
    sizes = metrics.histogram(
        "tidemill_settle_tasks", "Outcomes that were recorded in one call.", bounds=BATCHES
    )
    settling = metrics.histogram(
        "tidemill_settle_seconds", "How long such calls took.", bounds=SETTLING
    )
    enqueued = metrics.counter(
        "tidemill_tasks_enqueued_total", "Tasks that this process enqueued.", BY_TYPE
    )

    def on_claimed(event: TasksClaimed) -> None:
        claims.add()
        claimed.add(event.count)
        claiming.record(event.took.total_seconds())

    def on_settled(event: TasksSettled) -> None:
        sizes.record(len(event.ends))
        settling.record(event.took.total_seconds())

    def on_enqueued(event: TasksEnqueued) -> None:
        sums: dict[Labels, int] = {}
        for task in event.tasks:
            place = (task.queue, task.task_type)
            sums[place] = sums.get(place, 0) + 1
        for (queue, task_type), count in sums.items():
            enqueued.add(count, queue=queue, task_type=task_type)

    bus.subscribe(TasksClaimed, on_claimed)
    bus.subscribe(TasksSettled, on_settled)
    bus.subscribe(TasksEnqueued, on_enqueued)


def _count_rare(app: Tidemill) -> None:
    metrics, bus = app.metrics, app.bus
    lost = metrics.counter(
        "tidemill_leases_lost_total", "Claims that were taken away from this process.", BY_TYPE
    )
    reclaimed = metrics.counter(
        "tidemill_tasks_reclaimed_total", "Tasks that were taken back from lost workers.", BY_TYPE
    )
    errors = metrics.counter(
        "tidemill_engine_errors_total", "Calls to the engine that failed.", ("doing",)
    )
    lag = metrics.histogram(
        "tidemill_schedule_lag_seconds", "How long after their instant schedules were fired."
    )
    missed = metrics.counter(
        "tidemill_schedule_misses_total", "Instants of schedules that were not fired in time."
    )
    bus.subscribe(LeaseLost, lambda e: lost.add(queue=e.queue, task_type=e.task_type))
    bus.subscribe(TaskReclaimed, lambda e: reclaimed.add(queue=e.queue, task_type=e.task_type))
    bus.subscribe(EngineLost, lambda e: errors.add(doing=e.doing))
    bus.subscribe(ScheduleFired, lambda e: lag.record(e.lag.total_seconds()))
    bus.subscribe(ScheduleMissed, lambda e: missed.add(e.missed))
