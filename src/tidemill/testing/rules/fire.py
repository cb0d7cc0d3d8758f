"""Rules about schedules: docs/engine.md, section 9."""

from datetime import datetime, timedelta

from tidemill.engine import Firing
from tidemill.ids import fire_id
from tidemill.task import State, UniqueKey
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)


def _firing(lab: Lab, at: datetime, schedule: str = "nightly", **options: object) -> Firing:
    task = lab.new(**options)
    fields = {name: getattr(task, name) for name in task.__struct_fields__}
    return Firing(schedule, at, type(task)(**(fields | {"id": fire_id(schedule, at)})))


async def a_firing_enqueues_its_task(lab: Lab) -> None:
    """Section 9."""
    firing = _firing(lab, lab.now(), payload=b"[1]")
    assert await lab.engine.fire([firing]) == [True]
    task = await lab.task(firing.task.id)
    assert (task.state, task.payload) == (State.PENDING, b"[1]")


async def the_same_instant_never_fires_twice(lab: Lab) -> None:
    """Section 9: later than the schedule's mark; also within one batch."""
    firing = _firing(lab, lab.now())
    assert await lab.engine.fire([firing, firing]) == [True, False]
    assert await lab.engine.fire([firing]) == [False]
    assert await lab.found() == [firing.task.id]


async def an_instant_fires_once_even_when_its_task_is_gone(lab: Lab) -> None:
    """Section 9: the mark decides, not the id."""
    firing = _firing(lab, lab.now())
    await lab.engine.fire([firing])
    await lab.engine.cancel([firing.task.id])
    await lab.engine.remove([firing.task.id])
    assert await lab.engine.fire([firing]) == [False]
    assert await lab.found() == []


async def an_instant_before_the_mark_does_not_fire(lab: Lab) -> None:
    """Section 9: the mark never moves back."""
    late = _firing(lab, lab.now())
    early = _firing(lab, lab.now(-MINUTE))
    assert await lab.engine.fire([late, early]) == [True, False]
    assert await lab.found() == [late.task.id]


async def instants_of_the_past_fire_in_order(lab: Lab) -> None:
    """Section 9: catching up."""
    firings = [_firing(lab, lab.now(minutes * MINUTE)) for minutes in (-3, -2, -1, 0)]
    assert await lab.engine.fire(firings) == [True] * 4
    assert sorted(await lab.found()) == sorted(firing.task.id for firing in firings)


async def an_instant_after_now_is_refused_and_may_fire_later(lab: Lab) -> None:
    """Section 9: not later than now; False, and the mark stays."""
    firing = _firing(lab, lab.now(TICK))
    assert await lab.engine.fire([firing]) == [False]
    assert await lab.found() == []
    lab.clock.advance(TICK)
    assert await lab.engine.fire([firing]) == [True]


async def schedules_have_marks_of_their_own(lab: Lab) -> None:
    """Section 9: the schedule's mark."""
    one, other = _firing(lab, lab.now()), _firing(lab, lab.now(-MINUTE), "hourly")
    assert await lab.engine.fire([one, other]) == [True, True]


async def a_firing_whose_unique_key_is_held_moves_the_mark(lab: Lab) -> None:
    """Sections 1 and 9: enqueued by the rules of enqueue; an overlap is skipped, not postponed."""
    holder = await lab.add(unique=UniqueKey("k"))
    firing = _firing(lab, lab.now(), unique=UniqueKey("k"))
    assert await lab.engine.fire([firing]) == [True]
    assert await lab.found() == [holder]
    await lab.engine.cancel([holder])
    assert await lab.engine.fire([firing]) == [False]
