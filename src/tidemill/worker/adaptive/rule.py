"""The rule of automatic concurrency: state and measures → the next state; pure.

A pattern search (Hooke and Jeeves, "Direct Search", 1961) over the goodput, which is completed
tasks per second. It tries more slots and keeps them when they give more, tries fewer and keeps
those when they give as much; a step that was kept is followed by a larger one, a step that was not
by a smaller one. A level is compared with another only over time in which every slot was wanted.
Brakes act at once: a late loop, memory, failures, or tasks that take much longer.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil

from tidemill.worker.adaptive.brakes import brake
from tidemill.worker.adaptive.measures import NOTHING, Bounds, Health, Level, Tally

WORTH, WORTH_AT_MOST = 0.3, 0.1
"""The part of a proportional gain that more slots must bring to be kept, and the gain that will."""

AS_MUCH = 0.98
"""The part of the best goodput that fewer slots must give to be kept."""

LARGEST, SMALLEST = 1.0, 0.0625
"""How far one step goes, as a part of the present number of slots."""

LONGEST_REST = 16
"""Looks between two tries once nothing has changed for long."""

BACK = 0.7
"""What a brake leaves of the slots."""

CHANGED = 0.3
"""A change of the goodput at the same number of slots from which everything is tried again."""

SETTLE, SETTLE_AT_MOST = 0.5, 20.0
LOOK, LOOK_AT_MOST = 1.0, 5.0
"""Seconds that a change has to take effect, and that one look lasts; slow tasks take longer."""

ENOUGH = 50
"""Ended tasks that one look needs for a step of 1; a smaller step is told from noise by more."""

FADING = 0.9995
"""What a look leaves of the best goodput. Faster, and many steps down would each lose a little."""

BUSY = 0.95


class Trying(StrEnum):
    """What the present number of slots is: the level that is kept, or a try above or below it."""

    NEITHER = "neither"
    MORE = "more"
    FEWER = "fewer"


@dataclass(frozen=True, slots=True)
class Course:
    """What is known of one queue in one pool.

    `level` is the number of slots that is kept, `usual` what it gave, `best` the best goodput so
    far, which fades. `rest` is how many looks remain until the next try.
    """

    slots: int
    level: int
    usual: Level | None = None
    best: float = 0.0
    trying: Trying = Trying.NEITHER
    last: Trying = Trying.FEWER
    step: float = LARGEST
    rest: int = 0
    patience: int = 1
    failing: float = 0.0
    settling: float = SETTLE
    seen: Tally = NOTHING


def begun(slots: int) -> Course:
    """A queue of which nothing is known yet."""
    return Course(slots, slots)


def decide(
    course: Course, now: Tally, health: Health, bounds: Bounds, *, wanted: bool
) -> tuple[Course, str]:
    """The course after another moment, and why its slots changed, empty when they did not.

    `wanted`: every slot was in use or asked for; nothing is learnt from slots that nobody wants.
    """
    if course.settling > 0:
        return replace(course, settling=course.settling - now.seconds), ""
    seen = course.seen.plus(now)
    reason = brake(seen, course.usual, course.failing, health)
    if reason:
        return _braked(course, seen, bounds, reason)
    if not wanted:
        return replace(course, seen=NOTHING), ""
    if not _enough(course, seen):
        return replace(course, seen=seen), ""
    course = replace(course, seen=NOTHING, failing=_usual_failing(course.failing, seen))
    match course.trying:
        case Trying.MORE:
            return _tried_more(course, seen, bounds)
        case Trying.FEWER:
            return _tried_fewer(course, seen, bounds)
        case _:
            return _looked(course, seen, health, bounds)


def _enough(course: Course, seen: Tally) -> bool:
    least = max(LOOK, 2 * seen.latency)
    return seen.seconds >= least and (
        seen.ended >= ENOUGH / course.step or seen.seconds >= max(LOOK_AT_MOST, least)
    )


def _usual_failing(before: float, seen: Tally) -> float:
    """Failures that stay whatever is done become usual; what is better than usual does at once."""
    return min(seen.failing, before + 0.1 * max(0.0, seen.failing - before))


def _braked(course: Course, seen: Tally, bounds: Bounds, reason: str) -> tuple[Course, str]:
    """Back to the level that a try began at, else well below it."""
    failing = _usual_failing(course.failing, seen)
    course = replace(course, failing=failing, seen=NOTHING)
    if course.trying is Trying.MORE:
        return _back(course, seen, reason)
    slots = max(bounds.floor, min(course.slots - 1, int(course.slots * BACK)))
    # What the level gave before was the same dependency in a better time, or another one.
    course = replace(
        course,
        level=slots,
        usual=None,
        best=0.0,
        trying=Trying.NEITHER,
        last=Trying.FEWER,
        step=max(SMALLEST, course.step / 2),
        rest=course.patience,
        patience=min(LONGEST_REST, course.patience * 2),
    )
    return _moved(course, slots, seen, reason)


def _looked(course: Course, seen: Tally, health: Health, bounds: Bounds) -> tuple[Course, str]:
    """The level that is kept was seen once more: rest, or try something."""
    usual = course.usual
    if usual is not None and abs(seen.goodput - usual.goodput) > CHANGED * usual.goodput:
        course = replace(course, rest=0, patience=1, step=LARGEST / 2, best=seen.goodput)
        usual = None
    usual = seen.level if usual is None else usual.eased(seen.level)
    course = replace(course, usual=usual, best=max(course.best * FADING, usual.goodput))
    if course.rest > 0:
        return replace(course, rest=course.rest - 1), ""
    # Nothing is gained from more slots when there is no processor for them.
    full = health.machine >= BUSY and course.step < LARGEST
    if course.last is Trying.FEWER and not full:
        return _try_more(course, seen, bounds)
    return _try_fewer(course, seen, bounds)


def _try_more(course: Course, seen: Tally, bounds: Bounds) -> tuple[Course, str]:
    slots = min(bounds.ceiling, max(course.level + 1, ceil(course.level * (1 + course.step))))
    course = replace(course, last=Trying.MORE)
    if slots == course.level:
        return replace(course, rest=course.patience), ""
    return _moved(replace(course, trying=Trying.MORE), slots, seen, "trying more")


def _try_fewer(course: Course, seen: Tally, bounds: Bounds) -> tuple[Course, str]:
    slots = max(bounds.floor, min(course.level - 1, round(course.level / (1 + course.step))))
    course = replace(course, last=Trying.FEWER)
    if slots >= course.level:
        return replace(course, rest=course.patience), ""
    return _moved(replace(course, trying=Trying.FEWER), slots, seen, "trying fewer")


def _tried_more(course: Course, seen: Tally, bounds: Bounds) -> tuple[Course, str]:
    usual = course.usual.goodput if course.usual else 0.0
    worth = min(WORTH_AT_MOST, WORTH * (course.slots / course.level - 1))
    if seen.goodput < usual * (1 + worth):
        return _back(course, seen, f"more gave {seen.goodput:.4g}/s after {usual:.4g}/s")
    return _try_more(_kept(course, seen), seen, bounds)


def _tried_fewer(course: Course, seen: Tally, bounds: Bounds) -> tuple[Course, str]:
    if seen.goodput < AS_MUCH * course.best:
        return _back(course, seen, f"fewer gave {seen.goodput:.4g}/s after {course.best:.4g}/s")
    return _try_fewer(_kept(course, seen), seen, bounds)


def _kept(course: Course, seen: Tally) -> Course:
    return replace(
        course,
        level=course.slots,
        usual=seen.level,
        best=max(course.best, seen.goodput),
        trying=Trying.NEITHER,
        step=min(LARGEST, course.step * 2),
        patience=1,
    )


def _back(course: Course, seen: Tally, reason: str) -> tuple[Course, str]:
    """The try was no good: the level again, then a smaller step, in the end a longer rest."""
    smallest = course.step <= SMALLEST
    course = replace(
        course,
        trying=Trying.NEITHER,
        step=max(SMALLEST, course.step / 2),
        rest=course.patience,
        patience=min(LONGEST_REST, course.patience * 2) if smallest else course.patience,
    )
    return _moved(course, course.level, seen, reason)


def _moved(course: Course, slots: int, seen: Tally, reason: str) -> tuple[Course, str]:
    settling = min(SETTLE_AT_MOST, max(SETTLE, seen.latency))
    return replace(course, slots=slots, settling=settling, seen=NOTHING), reason
