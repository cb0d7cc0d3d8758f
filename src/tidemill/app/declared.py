"""What code declares, brought together with what the engine has.

An application keeps the names that it declared in a document of its own, so that it can tell what
its code no longer declares from what others made.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from tidemill.app.declared_queues import reconcile_queues
from tidemill.app.defining import OF_SCHEDULE, OF_TASK, since_of
from tidemill.app.schedules import ROUNDS, revised
from tidemill.engine import SCHEDULE, Document, Engine, Put
from tidemill.errors import Conflict, InvalidSchedule
from tidemill.events import ScheduleBroken
from tidemill.schedule import Schedule, checked_schedule, decode, encode
from tidemill.sealing import unsealed

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

DECLARATIONS = "declarations"


class Declarations(msgspec.Struct, frozen=True):
    """What an application declared when a scheduler of it last started."""

    schedules: tuple[str, ...]
    task_types: tuple[str, ...]


async def reconcile(app: "Tidemill", engine: Engine) -> None:
    """Make what the application declares true in its engine; safe to repeat and to race.

    Queues first (`declared_queues`). Schedules are put where they are absent and changed where the
    code says something else, but for what an operator changed. Those that this application declared
    before, and its code no longer does, are removed. An application is known again by its import
    path and by a task type that it has in common with before: another one that happens to have the
    same path loses nothing.
    """
    await reconcile_queues(app, engine)
    owner = app.import_path or "embedded"
    for _ in range(ROUNDS):
        [record] = await engine.get(DECLARATIONS, [owner])
        before = _read(record)
        now = Declarations(tuple(sorted(app.declared_schedules)), tuple(sorted(app.task_types)))
        if not now.schedules and not before.schedules:
            return
        known_again = not set(before.task_types).isdisjoint(now.task_types)
        gone = sorted(set(before.schedules) - set(now.schedules)) if known_again else []
        puts = await _changes(app, engine, gone)
        if now != before:
            version = record.version if record else 0
            puts.append(Put(DECLARATIONS, owner, msgspec.json.encode(now), version))
        if not puts or None not in await engine.put([*puts, revised()]):
            return
    raise Conflict(f"the schedules of {owner} were changed by others {ROUNDS} times")


async def _changes(app: "Tidemill", engine: Engine, gone: Sequence[str]) -> list[Put]:
    """What has to be written so that the engine has what the code says."""
    names = [*app.declared_schedules, *gone]
    documents = await engine.get(SCHEDULE, names)
    marks = await engine.marks(names)
    puts = []
    for name, document, mark in zip(names, documents, marks.marks, strict=True):
        declared, stored = app.declared_schedules.get(name), _stored(document)
        version = document.version if document else 0
        if declared is None:
            if stored is not None and stored.declared:
                puts.append(Put(SCHEDULE, name, None, version))
            continue
        try:
            wanted = agreed(declared, stored, mark.at, marks.at)
        except InvalidSchedule as problem:
            app.bus.emit(ScheduleBroken(name, str(problem)))
            continue
        if wanted != stored:
            puts.append(Put(SCHEDULE, name, encode(wanted), version))
    return puts


def agreed(
    declared: Schedule, stored: Schedule | None, mark: datetime | None, now: datetime
) -> Schedule:
    """What the code says, but for what an operator changed.

    Raises `InvalidSchedule` where the two do not go together.
    """
    if stored is None:
        return msgspec.structs.replace(declared, since=now, created_at=now, updated_at=now)
    changed = stored.changed if stored.declared else ()
    task = stored.task if "task" in changed else declared.task
    kept = [name for name in changed if name in OF_TASK]
    if "payload" in changed and stored.task.task_type == task.task_type:
        kept += ["payload", "unique"]
    task = msgspec.structs.replace(task, **{name: getattr(stored.task, name) for name in kept})
    wanted = msgspec.structs.replace(
        declared,
        task=task,
        since=stored.since,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
        changed=changed,
        **{name: getattr(stored, name) for name in changed if name in {"timing", *OF_SCHEDULE}},
    )
    if wanted == stored:
        return stored
    since = since_of(stored, wanted, mark, now)
    return checked_schedule(msgspec.structs.replace(wanted, since=since, updated_at=now))


def _stored(document: Document | None) -> Schedule | None:
    """The definition that there is; None also for one that cannot be read."""
    try:
        return decode(document.body) if document else None
    except InvalidSchedule:
        return None


def _read(record: Document | None) -> Declarations:
    if record is None:
        return Declarations((), ())
    return msgspec.json.decode(unsealed(record.body), type=Declarations)
