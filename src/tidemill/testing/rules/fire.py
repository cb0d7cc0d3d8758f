"""Rules about schedules: docs/engine.md, section 9."""

from datetime import datetime, timedelta

import msgspec

from tidemill.engine import FIRES_KEPT, SCHEDULE, Fire, Fired, Firing, Mark, Put
from tidemill.ids import fire_id
from tidemill.task import State, UniqueKey
from tidemill.testing.lab import TICK, Lab

MINUTE = timedelta(minutes=1)
FIRED, ALREADY = Fired.FIRED, Fired.ALREADY


def _firing(lab: Lab, at: datetime, schedule: str = "nightly", **options: object) -> Firing:
    task = msgspec.structs.replace(lab.new(**options), id=fire_id(schedule, at))
    return Firing(schedule, at, task)


def _id(firing: Firing) -> str:
    assert firing.task is not None
    return firing.task.id


async def _mark(lab: Lab, schedule: str = "nightly") -> Mark:
    [mark] = (await lab.engine.marks([schedule], FIRES_KEPT)).marks
    return mark


async def _define(lab: Lab, schedule: str = "nightly", body: bytes | None = b"{}") -> int:
    [document] = await lab.engine.put([Put(SCHEDULE, schedule, body)])
    assert document is not None
    return document.version


async def a_firing_enqueues_its_task(lab: Lab) -> None:
    """Section 9."""
    firing = _firing(lab, lab.now(), payload=b"[1]")
    assert await lab.engine.fire([firing]) == [FIRED]
    task = await lab.task(_id(firing))
    assert (task.state, task.payload) == (State.PENDING, b"[1]")


async def the_same_instant_never_fires_twice(lab: Lab) -> None:
    """9.1: later than the schedule's mark; also within one batch."""
    firing = _firing(lab, lab.now())
    assert await lab.engine.fire([firing, firing]) == [FIRED, ALREADY]
    assert await lab.engine.fire([firing]) == [ALREADY]
    assert await lab.found() == [_id(firing)]


async def an_instant_fires_once_even_when_its_task_is_gone(lab: Lab) -> None:
    """Section 9: the mark decides, not the id."""
    firing = _firing(lab, lab.now())
    await lab.engine.fire([firing])
    await lab.engine.cancel([_id(firing)])
    await lab.engine.remove([_id(firing)])
    assert await lab.engine.fire([firing]) == [ALREADY]
    assert await lab.found() == []


async def an_instant_before_the_mark_does_not_fire(lab: Lab) -> None:
    """Section 9: the mark never moves back."""
    late = _firing(lab, lab.now())
    early = _firing(lab, lab.now(-MINUTE))
    assert await lab.engine.fire([late, early]) == [FIRED, ALREADY]
    assert await lab.found() == [_id(late)]


async def instants_of_the_past_fire_in_order(lab: Lab) -> None:
    """Section 9: catching up."""
    firings = [_firing(lab, lab.now(minutes * MINUTE)) for minutes in (-3, -2, -1, 0)]
    assert await lab.engine.fire(firings) == [FIRED] * 4
    assert sorted(await lab.found()) == sorted(_id(firing) for firing in firings)


async def an_instant_after_now_is_refused_and_may_fire_later(lab: Lab) -> None:
    """9.1: not later than now; early, and the mark stays."""
    firing = _firing(lab, lab.now(TICK))
    assert await lab.engine.fire([firing]) == [Fired.EARLY]
    assert await _mark(lab) == Mark("nightly")
    assert await lab.found() == []
    lab.clock.advance(TICK)
    assert await lab.engine.fire([firing]) == [FIRED]


async def schedules_have_marks_of_their_own(lab: Lab) -> None:
    """Section 9: the schedule's mark."""
    one, other = _firing(lab, lab.now()), _firing(lab, lab.now(-MINUTE), "hourly")
    assert await lab.engine.fire([one, other]) == [FIRED, FIRED]


async def a_firing_whose_unique_key_is_held_moves_the_mark(lab: Lab) -> None:
    """1, 9.2: enqueued by the rules of enqueue; an overlap is skipped, not postponed."""
    holder = await lab.add(unique=UniqueKey("k"))
    firing = _firing(lab, lab.now(), unique=UniqueKey("k"))
    assert await lab.engine.fire([firing]) == [Fired.SKIPPED]
    assert await lab.found() == [holder]
    await lab.engine.cancel([holder])
    assert await lab.engine.fire([firing]) == [ALREADY]


async def a_mark_tells_how_far_a_schedule_has_come_and_what_it_fired(lab: Lab) -> None:
    """9.3: mark, count and fires, the newest first; a schedule that never fired has none."""
    one, other = [_firing(lab, lab.now(minutes * MINUTE)) for minutes in (-1, 0)]
    await lab.engine.fire([one])
    lab.clock.advance(TICK)
    await lab.engine.fire([other])
    fires = (
        Fire(at=other.at, recorded_at=lab.now(), outcome=FIRED, task_id=_id(other)),
        Fire(at=one.at, recorded_at=lab.now(-TICK), outcome=FIRED, task_id=_id(one)),
    )
    answer = await lab.engine.marks(["hourly", "nightly"], 10)
    assert answer.at == lab.now()
    assert answer.marks == (Mark("hourly"), Mark("nightly", other.at, 2, fires))
    assert (await lab.engine.marks(["nightly"], 1)).marks[0].fires == fires[:1]
    assert (await lab.engine.marks(["nightly"])).marks[0].fires == ()


async def only_the_last_fires_are_kept_but_all_are_counted(lab: Lab) -> None:
    """9.3: FIRES_KEPT of them."""
    many = FIRES_KEPT + 3
    firings = [_firing(lab, lab.now(minutes * MINUTE)) for minutes in range(-many, 0)]
    await lab.engine.fire(firings)
    mark = await _mark(lab)
    assert mark.count == many
    assert [fire.at for fire in mark.fires] == [each.at for each in firings[:2:-1]]


async def a_skipped_fire_names_the_holder_of_the_key_and_is_not_counted(lab: Lab) -> None:
    """9.3: an overlap can be seen."""
    holder = await lab.add(unique=UniqueKey("k"))
    await lab.engine.fire([_firing(lab, lab.now(), unique=UniqueKey("k"))])
    mark = await _mark(lab)
    assert (mark.at, mark.count) == (lab.now(), 0)
    assert [(fire.outcome, fire.task_id) for fire in mark.fires] == [(Fired.SKIPPED, holder)]


async def missed_instants_move_the_mark_and_enqueue_nothing(lab: Lab) -> None:
    """9.2: a firing without a task."""
    assert await lab.engine.fire([Firing("nightly", lab.now(), None, missed=7)]) == [Fired.MISSED]
    mark = await _mark(lab)
    assert (mark.at, mark.count) == (lab.now(), 0)
    assert [(fire.outcome, fire.missed, fire.task_id) for fire in mark.fires] == [
        (Fired.MISSED, 7, None)
    ]
    assert await lab.engine.fire([_firing(lab, lab.now())]) == [ALREADY]
    assert await lab.found() == []


async def a_firing_of_another_version_is_refused(lab: Lab) -> None:
    """9.1: the definition changed, was removed, or never was; the mark stays."""
    first = await _define(lab)
    firing = msgspec.structs.replace(_firing(lab, lab.now()), version=first)
    second = await _define(lab)
    assert await lab.engine.fire([firing]) == [Fired.CHANGED]
    await _define(lab, body=None)
    assert await lab.engine.fire([firing]) == [Fired.CHANGED]
    unknown = msgspec.structs.replace(_firing(lab, lab.now(), "hourly"), version=1)
    assert await lab.engine.fire([unknown]) == [Fired.CHANGED]
    assert await _mark(lab) == Mark("nightly")
    assert await lab.found() == []
    assert second == first + 1


async def a_firing_of_the_present_version_is_accepted(lab: Lab) -> None:
    """9.1: the version of the schedule's document."""
    version = await _define(lab)
    firing = msgspec.structs.replace(_firing(lab, lab.now()), version=version)
    assert await lab.engine.fire([firing]) == [FIRED]


async def removing_a_schedule_removes_its_mark(lab: Lab) -> None:
    """9.5: the document takes mark and fires along; those of others stay."""
    for name in ("nightly", "hourly"):
        await _define(lab, name)
        await lab.engine.fire([_firing(lab, lab.now(), name)])
    await _define(lab, body=None)
    assert await _mark(lab) == Mark("nightly")
    assert (await _mark(lab, "hourly")).count == 1


async def a_fire_by_hand_leaves_the_mark_where_it_is(lab: Lab) -> None:
    """9.4: it is counted and kept, and instants before it still fire."""
    early = _firing(lab, lab.now(-MINUTE))
    await lab.engine.fire([early])
    by_hand = Firing("nightly", lab.now(), lab.new(), by_hand=True)
    assert await lab.engine.fire([by_hand, by_hand]) == [FIRED, ALREADY]
    mark = await _mark(lab)
    assert (mark.at, mark.count) == (early.at, 2)
    assert [(fire.by_hand, fire.task_id) for fire in mark.fires] == [
        (True, _id(by_hand)),
        (False, _id(early)),
    ]
    assert await lab.engine.fire([_firing(lab, lab.now(-TICK))]) == [FIRED]
