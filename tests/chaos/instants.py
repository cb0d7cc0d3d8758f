"""Judges what schedules fired: pure functions over what the engine keeps of each.

What should have happened follows from a definition alone: its instants, and the policies that may
leave some out. The engine's marks, its tasks, its feed and the ledger of those who fired each say
what did happen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from tests.chaos.ledger import Entry
from tidemill import Transition
from tidemill.engine import FIRES_KEPT, Fire, Fired, Mark
from tidemill.ids import fire_id
from tidemill.schedule import Misfire, Overlap, Schedule, upcoming


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule, its instants, and what the engine keeps of it."""

    schedule: Schedule
    due: Sequence[datetime]
    mark: Mark

    @property
    def fires(self) -> Sequence[Fire]:
        """What became of its instants, the oldest first."""
        return self.mark.fires[::-1]

    @property
    def fired(self) -> Iterator[str]:
        """The tasks that it says it enqueued."""
        return (str(fire.task_id) for fire in self.fires if fire.outcome is Fired.FIRED)


def instants(schedule: Schedule) -> Sequence[datetime]:
    """All instants that a definition names; it must have an end."""
    found = upcoming(schedule, schedule.since, FIRES_KEPT + 1)
    assert len(found) <= FIRES_KEPT, f"{schedule.name}: the engine does not keep that many fires"
    return found


def contradictions(of: Kept) -> list[str]:
    """Instants that were fired twice, never, or left out although no policy says so."""
    name, wrong = of.schedule.name, []
    ahead = list(of.due)
    for fire in of.fires:
        decided = _decided(fire, ahead)
        if not decided:
            again = "a second time" if fire.at in of.due else "and it is no instant of it"
            wrong.append(f"{fire.outcome} at {fire.at}, {again}")
        wrong += _against_policy(of, fire, decided, ahead)
        ahead = [at for at in ahead if at not in decided]
    wrong += [f"never fired at {at}" for at in ahead]
    fired = sum(fire.outcome is Fired.FIRED for fire in of.fires)
    if of.mark.count != fired:
        wrong.append(f"it counts {of.mark.count} fires, and {fired} are kept")
    return [f"{name}: {text}" for text in wrong]


def _decided(fire: Fire, ahead: Sequence[datetime]) -> list[datetime]:
    """The instants, of those not decided before, that a fire says something about."""
    if fire.outcome is Fired.MISSED:
        return list(takewhile(lambda at: at <= fire.at, ahead))
    return [at for at in ahead if at == fire.at]


def _against_policy(
    of: Kept, fire: Fire, decided: Sequence[datetime], ahead: Sequence[datetime]
) -> Iterator[str]:
    schedule = of.schedule
    match fire.outcome:
        case Fired.FIRED:
            if fire.task_id != fire_id(schedule.name, fire.at, schedule.task.queue):
                yield f"fired {fire.task_id} at {fire.at}, not the task of that instant"
        case Fired.SKIPPED:
            if schedule.overlap is not Overlap.SKIP or fire.task_id not in set(of.fired):
                yield f"skipped {fire.at} because of {fire.task_id}"
        case _:
            if fire.missed != len(decided):
                yield f"{fire.missed} missed until {fire.at}, where {len(decided)} were due"
            if not _droppable(schedule, fire, [at for at in ahead if at >= fire.at]):
                yield (
                    f"missed {fire.at}, as was found {_lag(fire, fire.at)} later, which misfire "
                    f"{schedule.misfire} with a grace of {schedule.grace} does not allow"
                )


def _droppable(schedule: Schedule, fire: Fire, later: Sequence[datetime]) -> bool:
    """Whether policy drops an instant, the first of `later`: it fires so many later ones, all late.

    An instant is late by the scheduler's now, which is not after that of the record.
    """
    fires = {Misfire.SKIP: 0, Misfire.ONCE: 1, Misfire.ALL: schedule.misfire_limit}
    rank = fires[schedule.misfire]
    return rank < len(later) and _lag(fire, later[rank]) > schedule.grace


def _lag(fire: Fire, at: datetime) -> timedelta:
    return fire.recorded_at - at


def lags(of: Kept) -> Iterator[float]:
    """Seconds from each instant until the engine recorded what became of it, missed ones too."""
    ahead = of.due
    for fire in of.fires:
        decided = _decided(fire, ahead)
        yield from (_lag(fire, at).total_seconds() for at in decided)
        ahead = [at for at in ahead if at not in decided]


def of_tasks(
    fired: Iterable[str],
    present: Iterable[str],
    feed: Iterable[Transition],
    ledger: Iterable[Entry],
) -> list[str]:
    """Contradictions between what marks say was fired and who else saw it.

    Each of them is one task, enqueued once, that at most one scheduler was told it had fired: one
    that was killed may not have heard it. Nothing else was enqueued.
    """
    expected = set(fired)
    enqueued = Counter(entry.task_id for entry in feed if entry.cause == "enqueued")
    told = Counter(entry.task_id for entry in ledger if entry.phase == "fired")
    wrong = [f"{each}: fired, but there is no such task" for each in expected - set(present)]
    wrong += [f"{each}: fired, but never enqueued" for each in expected - enqueued.keys()]
    wrong += [f"{each}: enqueued {n} times" for each, n in enqueued.items() if n > 1]
    wrong += [f"{each}: {n} schedulers fired it" for each, n in told.items() if n > 1]
    strangers = (set(present) | enqueued.keys() | told.keys()) - expected
    return wrong + [f"{each}: no schedule says that it fired it" for each in sorted(strangers)]
