"""How far each schedule has come, and its last fires (rule 9)."""

from collections.abc import Iterable, Sequence

import apsw
import msgspec

from tidemill.clock import from_micros, to_micros
from tidemill.engine import FIRES_KEPT, Fire, Fired, Mark, Marks
from tidemill.engines.sqlite.rows import id_of, key_of
from tidemill.engines.sqlite.statements import as_json, one, run, statement


class Timetable(msgspec.Struct, array_like=True):
    """What is kept of one schedule; `noted` counts its fires, `added` are those of this step."""

    schedule: str
    at: int | None = None
    count: int = 0
    noted: int = 0
    added: list[Fire] = []

    def note(self, fire: Fire) -> None:
        """Keep a fire as the newest."""
        self.count += fire.outcome is Fired.FIRED
        self.noted += 1
        self.added.append(fire)


class _Noted(msgspec.Struct, frozen=True, array_like=True):
    """A fire as `fires.sql` selects it."""

    schedule: str
    at: int
    recorded_at: int
    outcome: Fired
    key: str
    missed: int
    by_hand: int

    @property
    def fire(self) -> Fire:
        return Fire(
            at=from_micros(self.at),
            recorded_at=from_micros(self.recorded_at),
            outcome=self.outcome,
            task_id=id_of(self.key) if self.key else None,
            missed=self.missed,
            by_hand=bool(self.by_hand),
        )


_timetables = msgspec.json.Decoder(list[Timetable]).decode
_fires = msgspec.json.Decoder(list[_Noted]).decode


def timetables(on: apsw.Connection, schedules: Iterable[str]) -> dict[str, Timetable]:
    """What is kept of schedules; those that never fired are left out."""
    found = _timetables(one(on, "marks", (as_json(set(schedules)),)))
    return {timetable.schedule: timetable for timetable in found}


def save(on: apsw.Connection, changed: Sequence[Timetable]) -> None:
    """Write timetables with the fires that were added."""
    run(on, "mark_put", [(each.schedule, each.at, each.count, each.noted) for each in changed])
    fires = [
        (
            each.schedule,
            n % FIRES_KEPT,
            n,
            to_micros(fire.at),
            to_micros(fire.recorded_at),
            fire.outcome.value,
            None if fire.task_id is None else bytes.fromhex(key_of(fire.task_id)),
            fire.missed,
            fire.by_hand,
        )
        for each in changed
        for n, fire in enumerate(
            each.added[-FIRES_KEPT:], each.noted - min(len(each.added), FIRES_KEPT)
        )
    ]
    run(on, "fire_put", fires)


def drop(on: apsw.Connection, schedule: str) -> None:
    """Forget a schedule."""
    on.execute(statement("fire_drop"), (schedule,))
    on.execute(statement("mark_drop"), (schedule,))


def take_in(on: apsw.Connection, marks: Iterable[Mark]) -> None:
    """Keep what another engine kept of schedules of which nothing is known yet."""
    given = {mark.schedule: mark for mark in reversed(list(marks))}
    known = timetables(on, given)
    save(on, [_timetable(mark) for name, mark in given.items() if name not in known])


def _timetable(mark: Mark) -> Timetable:
    fires = list(reversed(mark.fires))
    at = None if mark.at is None else to_micros(mark.at)
    return Timetable(mark.schedule, at, mark.count, len(fires), fires)


def marks(on: apsw.Connection, now: int, schedules: Sequence[str], fires: int) -> Marks:
    """How far schedules have come, with some of their last fires."""
    kept = timetables(on, schedules)
    told: dict[str, list[Fire]] = {}
    if fires > 0:
        for noted in _fires(one(on, "fires", (as_json(set(schedules)), fires))):
            told.setdefault(noted.schedule, []).append(noted.fire)
    return Marks(
        from_micros(max(now, one(on, "last_instant") or 0)),
        tuple(_mark(kept.get(name) or Timetable(name), told.get(name, ())) for name in schedules),
    )


def _mark(kept: Timetable, fires: Sequence[Fire]) -> Mark:
    at = None if kept.at is None else from_micros(kept.at)
    return Mark(kept.schedule, at, kept.count, tuple(fires))
