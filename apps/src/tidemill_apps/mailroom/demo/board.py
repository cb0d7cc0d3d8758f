"""What the feed has told of a mailbox' way through the mailroom so far."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from tidemill import Progress, State, Transition

SYNC: Final = "email:sync"
ANALYZE: Final = "email:analyze"
FOLLOWING: Final = frozenset({ANALYZE, "contact:update", "email:embed"})
"""What a new mail sets off."""


class Board:
    """How far the sync is, and in which state and step the analyses are.

    It reads the engine's feed and not the worker's events, so it would show the same of workers in
    other processes.
    """

    def __init__(self) -> None:
        self.synced: float | None = None
        """Percent of the last sync; None before the first."""
        self._states: dict[str, State] = {}
        self._steps: dict[str, Progress] = {}
        self._live: set[str] = set()

    def take(self, entries: Iterable[Transition]) -> None:
        """Note what happened."""
        for entry in entries:
            if entry.task_type == SYNC:
                self.synced = _percent(entry, self.synced or 0)
            if entry.task_type in FOLLOWING:
                self._note_live(entry)
            if entry.task_type == ANALYZE:
                self._note_analysis(entry)

    @property
    def states(self) -> Counter[State]:
        """How many analyses are in each state."""
        return Counter(self._states.values())

    @property
    def steps(self) -> Counter[str]:
        """How many running analyses are in each step."""
        return Counter(each.step for each in self._steps.values() if each.step)

    @property
    def total(self) -> int:
        """How many analyses are known."""
        return len(self._states)

    @property
    def ended(self) -> int:
        """How many analyses are through, one way or the other."""
        return sum(state.final for state in self._states.values())

    @property
    def percent(self) -> float:
        """How much of all analyses is done, the parts of running ones included."""
        parts = sum(each.percent / 100 for each in self._steps.values())
        return 100 * (self.ended + parts) / self.total if self.total else 0.0

    def through(self, mails: int) -> bool:
        """Whether so many mails are analysed, and nothing that they set off still waits or runs."""
        return self.ended >= mails and not self._live

    def _note_live(self, entry: Transition) -> None:
        if entry.state.final:
            self._live.discard(entry.task_id)
        else:
            self._live.add(entry.task_id)

    def _note_analysis(self, entry: Transition) -> None:
        self._states[entry.task_id] = entry.state
        if entry.state is not State.RUNNING:
            self._steps.pop(entry.task_id, None)
        elif entry.progress is not None:
            self._steps[entry.task_id] = entry.progress


def _percent(entry: Transition, before: float) -> float:
    if entry.state.final:
        return 100.0
    return entry.progress.percent if entry.progress else before
