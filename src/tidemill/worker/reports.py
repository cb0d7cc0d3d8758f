"""What running tasks report, collected from any thread until it is sent on."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tidemill.task import LogLine, Progress
from tidemill.worker.run import Run


@dataclass(slots=True)
class Report:
    """The last progress and the new log lines of one run."""

    progress: Progress | None = None
    logs: list[LogLine] = field(default_factory=list)


NOTHING = Report()


class Reports:
    """Collects reports by run. A report is either here, or on its way, or settled with its run.

    Safe to call from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Run, Report] = {}
        self._on_way: dict[Run, Report] = {}
        self._after: dict[Run, Callable[[], None]] = {}
        self._wake: Callable[[], None] | None = None

    def when_first(self, wake: Callable[[], None] | None) -> None:
        """Call `wake` when there is a first report, now or later; None calls nobody."""
        with self._lock:
            self._wake = wake
            waiting = bool(self._waiting)
        if waiting and wake is not None:
            wake()

    def progress(self, run: Run, progress: Progress) -> None:
        """Take progress; only the last of a run is kept."""
        with self._lock:
            first = not self._waiting
            self._of(run).progress = progress
        if first and self._wake is not None:
            self._wake()

    def log(self, run: Run, line: LogLine) -> None:
        """Take a log line; all of them are kept."""
        with self._lock:
            first = not self._waiting
            self._of(run).logs.append(line)
        if first and self._wake is not None:
            self._wake()

    def _of(self, run: Run) -> Report:
        return self._waiting.setdefault(run, Report())

    def take(self) -> dict[Run, Report]:
        """All reports that wait; they are on their way until `arrived` or `returned`."""
        with self._lock:
            self._on_way, self._waiting = self._waiting, {}
            return self._on_way

    def arrived(self) -> None:
        """What was on its way has been recorded, or never will be."""
        with self._lock:
            self._on_way = {}
            after, self._after = self._after, {}
        for proceed in after.values():
            proceed()

    def returned(self) -> None:
        """What was on its way may not have been recorded: send it again, before what came later."""
        with self._lock:
            for run, report in self._on_way.items():
                later = self._waiting.setdefault(run, Report())
                later.progress = later.progress or report.progress
                later.logs[:0] = report.logs
        self.arrived()

    def last(self, run: Run) -> Report | None:
        """Remove and give what a run reported and nobody has sent; None when that is nothing."""
        if not self._waiting:
            return None
        with self._lock:
            return self._waiting.pop(run, None)

    def when_arrived(self, run: Run, proceed: Callable[[], None]) -> bool:
        """Call `proceed` once nothing of the run is on its way; False when that is so already.

        A settlement overtaking its own progress would make that progress stale.
        """
        if not self._on_way:
            return False
        with self._lock:
            if run not in self._on_way:
                return False
            self._after[run] = proceed
            return True
