"""Engines that order lanes or queues wrongly."""

from tidemill.clock import Clock
from tidemill.engine import ClaimRequest
from tidemill.engines.memory import MemoryEngine
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.record import Record
from tidemill.task import Claim, State


class _Laned(MemoryEngine):
    """Orders by lane, with books of its own."""

    books: type[Books] = Books

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock, ordered="lane")
        self._books = type(self).books(clock, "lane")


class _ByDue(Books):
    def place(self, record: Record) -> tuple[int, int, int, str]:
        return record.place


class LanesByDue(_Laned):
    """Orders lanes by the due instant."""

    books = _ByDue


class _FirstArrival(Books):
    def enter(self, record: Record, state: State, cause: str, now: int) -> None:
        first = record.arrived
        super().enter(record, state, cause, now)
        record.arrived = first or record.arrived


class OldPlaceKept(_Laned):
    """Puts a task that runs again where it stood before, so that it is in everybody's way."""

    books = _FirstArrival


class _AloneLast(Books):
    def place(self, record: Record) -> tuple[int, int, int, str]:
        priority, _, arrived, task_id = record.place_in_lane
        return (priority, record.alone, arrived, task_id)


class AloneLast(_Laned):
    """Lets suspects wait until nobody else is there."""

    books = _AloneLast


class _PassedOverLast(Books):
    def place(self, record: Record) -> tuple[int, int, int, str]:
        priority, beside, arrived, task_id = record.place_in_lane
        return (priority, beside, arrived + 1000 * (record.new.task_type == "mail"), task_id)


class PassedOverLast(_Laned):
    """Parks tasks that a worker does not know behind those that came later."""

    books = _PassedOverLast


class _LimitsByArrival(Books):
    def admit_next(self, left: Record, now: int) -> None:
        for record in self.by_state[State.BLOCKED].values():
            if record.blocked_on == "limit":
                self.admit(record, "admitted", now)
                return


class LimitsByArrival(_Laned):
    """Lets tasks in at a limit in the order of coming."""

    books = _LimitsByArrival


class _PriorityIgnored(Books):
    def place(self, record: Record) -> tuple[int, int, int, str]:
        return (0, *record.place_in_lane[1:])


class PriorityIgnored(_Laned):
    """Has one lane for all priorities."""

    books = _PriorityIgnored


class FloodStarves(MemoryEngine):
    """Serves the queue with the most urgent task first, always."""

    async def claim(self, request: ClaimRequest) -> list[Claim]:
        books = self._books
        pending = books.by_state[State.PENDING].values()
        for record in sorted(pending, key=books.place)[:1]:
            books.queues[record.new.queue].passed = -(1 << 60)
            books.rotated = -(1 << 60)
        return await super().claim(request)
