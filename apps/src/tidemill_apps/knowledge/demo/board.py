"""What the feed has told of the documents so far."""

from collections.abc import Iterable

from tidemill import Progress, State, Transition


class Board:
    """How many documents there are, which are being indexed, and what became of the others.

    It reads the engine's feed and not the worker's events, so it would show the same of workers in
    other processes. `live` is how many documents an earlier run has left over.
    """

    def __init__(self, task_type: str, live: int = 0) -> None:
        self.running: dict[str, Progress | None] = {}
        self.completed = 0
        self.failed = 0
        self._task_type = task_type
        self._live = live
        self._seen: set[str] = set()

    def take(self, entries: Iterable[Transition]) -> list[str]:
        """Note what happened to documents; answers the tasks that failed."""
        failed = []
        for entry in entries:
            if entry.task_type != self._task_type:
                continue
            self._seen.add(entry.task_id)
            if entry.state is State.RUNNING:
                self.running[entry.task_id] = entry.progress or self.running.get(entry.task_id)
                continue
            self.running.pop(entry.task_id, None)
            if entry.state is State.COMPLETED:
                self.completed += 1
            elif entry.state.final:
                self.failed += 1
                failed.append(entry.task_id)
        return failed

    @property
    def total(self) -> int:
        """How many documents are known."""
        return max(self._live, len(self._seen))

    @property
    def ended(self) -> int:
        """How many are through, one way or the other."""
        return self.completed + self.failed

    @property
    def percent(self) -> float:
        """How much of everything is done, the parts of running documents included."""
        parts = sum(progress.percent / 100 for progress in self.running.values() if progress)
        return 100 * (self.ended + parts) / self.total if self.total else 0.0
