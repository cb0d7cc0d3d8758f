"""The queues of the memory engine, and how many tasks each gives."""

from tidemill.engine import QueueDefinition
from tidemill.rates import EMPTY, Bucket, Rate, allowed, next_in, spent

NO_LIMIT = 1 << 62


class Queue:
    """A queue's definition and its place in the rotation."""

    def __init__(self, name: str) -> None:
        self.definition = QueueDefinition(name)
        self.paused = False
        self.passed = 0
        self._bucket: Bucket = EMPTY

    def define(self, definition: QueueDefinition) -> None:
        """Change its settings; a changed rate begins anew."""
        if definition.rate != self.definition.rate:
            self._bucket = EMPTY
        self.definition = definition

    def gives(self, running: int, of_worker: int, now: int) -> int:
        """How many more tasks may start while so many run in all, and in the worker that asks."""
        if self.paused:
            return 0
        definition, rate = self.definition, self.definition.rate
        return max(
            0,
            min(
                _left(definition.concurrency, running),
                _left(definition.worker_concurrency, of_worker),
                NO_LIMIT if rate is None else allowed(rate, self._bucket, now),
            ),
        )

    def started(self, count: int, now: int) -> None:
        """So many tasks were started."""
        if self.definition.rate is not None:
            self._bucket = spent(self.definition.rate, self._bucket, now, count)

    def next_in(self, now: int) -> int:
        """Microseconds until its rate lets a task start."""
        rate: Rate | None = self.definition.rate
        return 0 if rate is None else next_in(rate, self._bucket, now)


def _left(most: int | None, taken: int) -> int:
    return NO_LIMIT if most is None else most - taken
