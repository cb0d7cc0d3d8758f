"""What a number of slots would give, computed: the rule runs on it by a virtual clock."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tidemill.worker.adaptive.measures import Bounds, Health, Tally
from tidemill.worker.adaptive.rule import begun, decide

MOMENT = 0.5
CALM = Health()
BOUNDS = Bounds(1, 1_000)


@dataclass(frozen=True)
class Given:
    """What the slots give: tasks per second, the part that fails, how long each takes."""

    rate: float
    failing: float
    latency: float
    health: Health = CALM
    wanted: bool = True

    @property
    def goodput(self) -> float:
        return self.rate * (1 - self.failing)


Plant = Callable[[int, float], Given]
"""What so many slots give at a time."""


def waits(capacity: int, latency: float) -> Plant:
    """A service that works on so many requests at once; the others queue there."""

    def give(slots: int, _: float) -> Given:
        return Given(min(slots, capacity) / latency, 0, latency * max(1.0, slots / capacity))

    return give


def hashes(seconds: float, overhead: float = 0.0008) -> Plant:
    """Tasks that block the loop one after the other; a claim costs the more, the fewer it takes."""

    def give(slots: int, _: float) -> Given:
        health = Health(lag=slots * seconds / 2, own=1.0, machine=0.5)
        return Given(1 / (seconds + overhead / slots), 0, seconds, health)

    return give


def fails(capacity: int, latency: float = 0.05) -> Plant:
    """A service that gets slower and refuses more, the more come beyond its capacity."""

    def give(slots: int, _: float) -> Given:
        beyond = max(0.0, slots / capacity - 1)
        slow = latency * (1 + 3 * beyond)
        return Given(slots / slow, min(0.9, beyond), slow)

    return give


@dataclass(frozen=True)
class Trace:
    """The slots and completed tasks of each moment, and the reasons of changes."""

    slots: list[int]
    completed: list[int]
    reasons: list[str]

    def rate(self, since: float = 60) -> float:
        """The median of completed tasks per second."""
        return median(self.completed[int(since / MOMENT) :]) / MOMENT

    def changes(self, since: float) -> int:
        return sum(a != b for a, b in pairwise(self.slots[int(since / MOMENT) :]))


def driven(plant: Plant, seconds: float = 180, *, noise: float = 0.05, seed: int = 1) -> Trace:
    """The rule on a plant whose rate is measured with some noise."""
    rng = random.Random(seed)
    course, trace = begun(10), Trace([], [], [])
    for moment in range(int(seconds / MOMENT)):
        given = plant(course.slots, moment * MOMENT)
        ended = max(0.0, given.rate * MOMENT * rng.gauss(1, noise))
        failed = round(ended * given.failing)
        completed = round(ended) - failed
        trace.slots.append(course.slots)
        trace.completed.append(completed)
        spent = given.latency * (completed + failed)
        now = Tally(MOMENT, completed, failed, spent)
        course, reason = decide(course, now, given.health, BOUNDS, wanted=given.wanted)
        if reason:
            trace.reasons.append(reason)
    return trace


def best(plant: Plant) -> float:
    """What the best fixed number of slots completes per second, of those that keep the loop."""
    given = (plant(slots, 0.0) for slots in range(1, BOUNDS.ceiling))
    return max(each.goodput for each in given if each.health.lag < 0.1)
