"""What the rule looks at, as frozen values."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between how many slots and how many the rule may choose."""

    floor: int
    ceiling: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the process and its machine are, over the last moments.

    `lag` is in seconds: how late the loop was, in the worst tenth of the measures. `own` is the
    processor time of the process in cores (1.0: one core is busy with it); `machine` and `memory`
    are between 0 and 1. The memory is that of the process beside its limit, else the machine's.
    """

    lag: float = 0.0
    own: float = 0.0
    machine: float = 0.0
    memory: float = 0.0


@dataclass(frozen=True, slots=True)
class Level:
    """What a number of slots gives: completed tasks per second, and how many seconds one runs."""

    goodput: float
    latency: float

    def eased(self, newer: "Level") -> "Level":
        """The same with a third of a newer look."""
        return Level(
            self.goodput + (newer.goodput - self.goodput) / 3,
            self.latency + (newer.latency - self.latency) / 3,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """What ended in a stretch of time; `spent` are the seconds that those tasks ran, added up."""

    seconds: float = 0.0
    completed: int = 0
    failed: int = 0
    spent: float = 0.0

    def plus(self, other: "Tally") -> "Tally":
        """Both stretches as one."""
        return Tally(
            self.seconds + other.seconds,
            self.completed + other.completed,
            self.failed + other.failed,
            self.spent + other.spent,
        )

    @property
    def ended(self) -> int:
        """How many tasks ended, one way or the other."""
        return self.completed + self.failed

    @property
    def goodput(self) -> float:
        """Completed tasks per second: what failed was no use to anybody."""
        return self.completed / self.seconds if self.seconds else 0.0

    @property
    def latency(self) -> float:
        """The mean time that a task ran, in seconds."""
        return self.spent / self.ended if self.ended else 0.0

    @property
    def level(self) -> Level:
        """What it shows of the slots that were there."""
        return Level(self.goodput, self.latency)

    @property
    def failing(self) -> float:
        """The part of the tasks that failed, between 0 and 1."""
        return self.failed / self.ended if self.ended else 0.0


NOTHING: Final = Tally()
