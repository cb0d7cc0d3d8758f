"""Engines that lose their way in a workflow."""

from collections.abc import Iterable

import msgspec

from tests.engines.mutants.books import Keeping
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.record import Breaker, Record
from tidemill.task import After


class _FirstIsEnough(Books):
    def wait_for(
        self, record: Record, others: Iterable[str], on: str, cause: str, now: int
    ) -> bool:
        return super().wait_for(record, list(others)[:1], on, cause, now)


class JoinStartsEarly(Keeping):
    """Waits for the first of several only."""

    books = _FirstIsEnough


class _Unbroken(Books):
    def _go_on(self, record: Record, cause: str, now: int) -> None:
        record.broken_by = None
        super()._go_on(record, cause, now)


class BrokenIgnored(Keeping):
    """Runs what comes after a failure."""

    books = _Unbroken


class _Always(Books):
    def _go_on(self, record: Record, cause: str, now: int) -> None:
        after = record.new.after or After(())
        if after.on_failure == "skip":
            after = msgspec.structs.replace(after, on_failure="fail")
        record.new = msgspec.structs.replace(record.new, after=after)
        super()._go_on(record, cause, now)


class SkipFails(Keeping):
    """Takes `skip` for `fail`."""

    books = _Always


class _LastBreaks(Books):
    def _tell_waiting(self, now: int) -> None:
        ended = self._ended[0]
        if ended.broke:
            for name, others in self.waits.items():
                if ended.new.id in others:
                    self.records[name].broken_by = Breaker(ended.new.id, ended.state)
        super()._tell_waiting(now)


class TheLastBreaksIt(Keeping):
    """Names the last failure instead of the first."""

    books = _LastBreaks


class _Unjoined(Books):
    def ask_upstream(self, record: Record, cause: str, now: int) -> None:
        if record.new.after is not None:
            after = msgspec.structs.replace(record.new.after, joins=False)
            record.new = msgspec.structs.replace(record.new, after=after)
        super().ask_upstream(record, cause, now)


class JoinsHaveToRun(Keeping):
    """Makes a task pending that has nothing to run."""

    books = _Unjoined


class _AsksOnce(Books):
    asking = "manual_retry"

    def ask_upstream(self, record: Record, cause: str, now: int) -> None:
        if cause == type(self).asking:
            self.schedule_or_admit(record, cause, now)
        else:
            super().ask_upstream(record, cause, now)


class RetryGoesAhead(Keeping):
    """Runs a retried task before what it comes after."""

    books = _AsksOnce


class _NotAgain(_AsksOnce):
    asking = "restored"


class RestoreGoesAhead(Keeping):
    """Runs a restored task before what it comes after."""

    books = _NotAgain


class _WaitsForEver(Books):
    def ask_upstream(self, record: Record, cause: str, now: int) -> None:
        after = record.new.after
        if after is None or record.new.id not in after.tasks:
            super().ask_upstream(record, cause, now)
        elif not self.wait_for(record, after.tasks, "upstream", cause, now):
            self._go_on(record, cause, now)


class WaitsForItself(Keeping):
    """Blocks a task on itself."""

    books = _WaitsForEver


class _Silent(Books):
    def _go_on(self, record: Record, cause: str, now: int) -> None:
        super()._go_on(record, cause, now)
        if record.state.final and self._ended and self._ended[-1] is record:
            self._ended.pop()


class EndsByOthersTellNobody(Keeping):
    """Leaves what comes after a skipped task blocked."""

    books = _Silent
