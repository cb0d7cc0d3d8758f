"""How far each schedule has come."""

from collections import deque
from dataclasses import dataclass, field

from tidemill.clock import from_micros, to_micros
from tidemill.engine import FIRES_KEPT, Fire, Fired, Mark


@dataclass(slots=True)
class Timetable:
    """What is kept of one schedule; `at` is its mark, the last instant that was decided."""

    at: int | None = None
    count: int = 0
    fires: deque[Fire] = field(default_factory=lambda: deque(maxlen=FIRES_KEPT))

    @classmethod
    def of(cls, mark: Mark) -> "Timetable":
        """What another engine kept."""
        at = None if mark.at is None else to_micros(mark.at)
        return cls(at, mark.count, deque(mark.fires, maxlen=FIRES_KEPT))

    def note(self, fire: Fire) -> None:
        """Keep a fire as the newest."""
        self.count += fire.outcome is Fired.FIRED
        self.fires.appendleft(fire)

    def mark(self, schedule: str, fires: int) -> Mark:
        """What people read, with at most so many fires."""
        return Mark(
            schedule,
            None if self.at is None else from_micros(self.at),
            self.count,
            tuple(self.fires)[:fires],
        )
