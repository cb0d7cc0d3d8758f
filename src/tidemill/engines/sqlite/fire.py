"""Fire: rule 9."""

from collections.abc import Sequence

from tidemill.clock import from_micros, to_micros
from tidemill.engine import SCHEDULE, Enqueued, Fire, Fired, Firing
from tidemill.engines.sqlite.documents import versions
from tidemill.engines.sqlite.enqueue import Known, accept, known_of
from tidemill.engines.sqlite.marks import Timetable, save, timetables
from tidemill.engines.sqlite.rows import key_of
from tidemill.engines.sqlite.step import Step


def fire(step: Step, firings: Sequence[Firing]) -> list[Fired]:
    """Enqueue what schedules fire, each instant once."""
    schedules = {firing.schedule for firing in firings}
    defined = versions(step.on, SCHEDULE, schedules)
    kept = timetables(step.on, schedules)
    tasks = [firing.task for firing in firings if firing.task]
    known = known_of(step, tasks, [key_of(task.id) for task in tasks])
    answers = []
    for firing in firings:
        timetable = kept.get(firing.schedule) or Timetable(firing.schedule)
        refused = _refused(step, firing, defined.get(firing.schedule), timetable, known)
        answers.append(refused or _carry_out(step, firing, timetable, known))
        if refused is None:
            kept[firing.schedule] = timetable
    save(step.on, [timetable for timetable in kept.values() if timetable.added])
    return answers


def _refused(
    step: Step, firing: Firing, version: int | None, timetable: Timetable, known: Known
) -> Fired | None:
    """Why a firing is not accepted, None when it is."""
    if firing.version is not None and firing.version != version:
        return Fired.CHANGED
    instant = to_micros(firing.at)
    if instant > step.now:
        return Fired.EARLY
    if firing.by_hand:
        made = firing.task is not None and key_of(firing.task.id) in known.states
    else:
        made = timetable.at is not None and instant <= timetable.at
    return Fired.ALREADY if made else None


def _carry_out(step: Step, firing: Firing, timetable: Timetable, known: Known) -> Fired:
    enqueued = None
    if firing.task is not None:
        enqueued = accept(step, firing.task, key_of(firing.task.id), known)
    if not firing.by_hand:
        timetable.at = to_micros(firing.at)
    outcome = _outcome(enqueued)
    timetable.note(
        Fire(
            at=firing.at,
            recorded_at=from_micros(step.now),
            outcome=outcome,
            task_id=enqueued.task_id if enqueued else None,
            missed=firing.missed,
            by_hand=firing.by_hand,
        )
    )
    return outcome


def _outcome(enqueued: Enqueued | None) -> Fired:
    if enqueued is None:
        return Fired.MISSED
    return Fired.SKIPPED if enqueued.duplicate else Fired.FIRED
