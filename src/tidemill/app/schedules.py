"""The operations on schedules: `app.schedules`."""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

import msgspec

from tidemill.app.defining import ScheduleChanges, ScheduleOptions, altered, defined
from tidemill.app.function import TaskFunction
from tidemill.app.handle import Handle
from tidemill.engine import (
    FIRES_KEPT,
    SCHEDULE,
    Document,
    Engine,
    Fire,
    Fired,
    Firing,
    Mark,
    Put,
    TaskQuery,
)
from tidemill.errors import (
    ChangedMeanwhile,
    Conflict,
    InvalidSchedule,
    PayloadUndecodable,
    ScheduleExists,
    ScheduleNotFound,
)
from tidemill.ids import IdMaker
from tidemill.schedule import Schedule, decode, encode, fired_task, next_instant
from tidemill.task import State, TaskError

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

LATE: Final = timedelta(seconds=60)
"""How long an instant may be due before its schedule is called late."""

ROUNDS: Final = 10
"""How often a change is worked out anew because somebody else made one in between."""

BATCH: Final = 500
"""Marks that are read at once."""

REVISIONS, REVISION = "schedules", "revision"
"""The document that changes with every definition, so that schedulers need not read them all."""

T = TypeVar("T")


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as people read it.

    `next_run_at` is the next instant that is not fired yet, None when paused or finished; `late`
    when it passed a minute ago. `last_run_at` and `run_count` tell of tasks that it enqueued, also
    by hand. `last_error` and `fires`, the newest first, are filled where one schedule is read:
    the error is that of the newest fired task that failed.
    """

    schedule: Schedule
    version: int
    next_run_at: datetime | None
    last_run_at: datetime | None
    run_count: int
    last_error: TaskError | None = None
    fires: tuple[Fire, ...] = ()
    late: bool = False


class SchedulerStatistics(msgspec.Struct, frozen=True):
    """How many schedules there are: active ones have a next instant, and late ones are active."""

    active: int
    paused: int
    finished: int
    late: int
    last_fire_at: datetime | None
    next_fire_at: datetime | None


Listed = list[ScheduleInfo]


class Schedules:
    """The schedules of an application's engine, whoever made them.

    A change holds from the moment a call returns: no scheduler fires what was true before. With
    `if_version`, the `version` of a `ScheduleInfo`, nothing but what was read is changed, else
    `ChangedMeanwhile` is raised; check and change are one step.
    """

    def __init__(self, app: "Tidemill") -> None:
        self._app = app

    async def create(
        self, name: str, task: TaskFunction[..., Any] | str, **said: Unpack[ScheduleOptions]
    ) -> ScheduleInfo:
        """Make a schedule that fires from now on; `ScheduleOptions` says what each option means.

        Raises `ScheduleExists`, `InvalidSchedule` with the place in a cron expression,
        `UnknownTaskType`, and `PayloadInvalid` with the argument.
        """
        engine = await self._app.engine()
        now = (await engine.marks([name])).at
        schedule = defined(self._app, name, task, said, now)
        _check_that_it_fires(schedule, now)
        [made, _] = await engine.put([Put(SCHEDULE, name, encode(schedule), 0), revised()])
        if made is None:
            raise ScheduleExists(name)
        return described(schedule, made.version, Mark(name), now)

    async def get(self, name: str) -> ScheduleInfo:
        """One schedule with its fires and its last error; raises `ScheduleNotFound`."""
        engine = await self._app.engine()
        document = await _document(engine, name)
        read = await engine.marks([name], FIRES_KEPT)
        [mark] = read.marks
        info = described(decode(document.body), document.version, mark, read.at)
        return msgspec.structs.replace(
            info, fires=mark.fires, last_error=await _last_error(engine, mark.fires)
        )

    async def list(self) -> Listed:
        """All schedules by name, without their fires.

        A definition that cannot be read is left out: `get` says why.
        """
        engine = await self._app.engine()
        found = []
        for some in batched(await engine.documents(SCHEDULE), BATCH):
            read = await engine.marks([document.key for document in some], 1)
            marks = await _with_last_run(engine, read.marks)
            for document, mark in zip(some, marks, strict=True):
                try:
                    schedule = decode(document.body)
                except (InvalidSchedule, PayloadUndecodable):
                    continue
                found.append(described(schedule, document.version, mark, read.at))
            await asyncio.sleep(0)  # others of this process get their turn
        return found

    async def update(
        self, name: str, *, if_version: int | None = None, **said: Unpack[ScheduleChanges]
    ) -> ScheduleInfo:
        """Change what is said and leave the rest; the errors are those of `create`.

        `cron`, `every` and `at` replace each other. None stands for the task type's own queue,
        priority and attempts, and removes other options. Instants of before never fire through a
        change. Of a schedule that code declares, what is changed here wins over the code from now
        on, and `schedule.changed` names it.
        """
        return await self._change(
            name,
            if_version,
            lambda schedule, mark, now: altered(self._app, schedule, said, mark, now),
        )

    async def pause(self, name: str, *, if_version: int | None = None) -> ScheduleInfo:
        """Fire no more until it is resumed; what was fired goes on."""
        return await self.update(name, if_version=if_version, paused=True)

    async def resume(self, name: str, *, if_version: int | None = None) -> ScheduleInfo:
        """Fire again from now on; instants that passed meanwhile are not made up for."""
        return await self.update(name, if_version=if_version, paused=False)

    async def run(self, name: str) -> Handle[Any]:
        """Enqueue its task now, out of turn, also when it is paused; its instants stay.

        With overlap `skip`, the handle is that of the task that still runs, `duplicate=True`.
        """
        engine = await self._app.engine()
        for _ in range(ROUNDS):
            document = await _document(engine, name)
            schedule = decode(document.body)
            at = (await engine.marks([name])).at
            task = msgspec.structs.replace(
                fired_task(schedule, at), id=IdMaker().make(schedule.task.queue)
            )
            firing = Firing(name, at, task, document.version, by_hand=True)
            match (await engine.fire([firing]))[0]:
                case Fired.CHANGED | Fired.EARLY:
                    continue
                case Fired.SKIPPED:
                    [mark] = (await engine.marks([name], 1)).marks
                    return Handle(self._app, mark.fires[0].task_id or task.id, duplicate=True)
                case _:
                    return Handle(self._app, task.id)
        raise _contended(name)

    async def delete(self, name: str, *, if_version: int | None = None) -> None:
        """Remove a schedule with its history; the tasks that it fired stay.

        One that code declares is back when a scheduler of that code starts: pause it instead.
        """
        engine = await self._app.engine()
        await _document(engine, name)
        [removed, _] = await engine.put([Put(SCHEDULE, name, None, if_version), revised()])
        if removed is None:
            raise _changed(name)

    async def history(self, name: str) -> tuple[Fire, ...]:
        """What became of its last 50 instants, the newest first."""
        engine = await self._app.engine()
        await _document(engine, name)
        return (await engine.marks([name], FIRES_KEPT)).marks[0].fires

    async def statistics(self) -> SchedulerStatistics:
        """How many schedules there are in each condition, and when the last and next fire is."""
        found = await self.list()
        active = [info for info in found if info.next_run_at is not None]
        paused = sum(info.schedule.paused for info in found)
        return SchedulerStatistics(
            active=len(active),
            paused=paused,
            finished=len(found) - len(active) - paused,
            late=sum(info.late for info in active),
            last_fire_at=max((at for info in found if (at := info.last_run_at)), default=None),
            next_fire_at=min((at for info in active if (at := info.next_run_at)), default=None),
        )

    async def _change(
        self,
        name: str,
        if_version: int | None,
        change: Callable[[Schedule, datetime | None, datetime], Schedule],
    ) -> ScheduleInfo:
        engine = await self._app.engine()
        for _ in range(ROUNDS):
            document = await _document(engine, name)
            if if_version not in (None, document.version):
                raise _changed(name)
            read = await engine.marks([name], 1)
            [mark] = await _with_last_run(engine, read.marks)
            schedule = decode(document.body)
            wanted = change(schedule, mark.at, read.at)
            if wanted == schedule:
                return described(schedule, document.version, mark, read.at)
            if wanted.timing != schedule.timing:
                _check_that_it_fires(wanted, read.at)
            put = Put(SCHEDULE, name, encode(wanted), document.version)
            [written, _] = await engine.put([put, revised()])
            if written is not None:
                return described(wanted, written.version, mark, read.at)
        raise _contended(name)


def described(schedule: Schedule, version: int, mark: Mark, now: datetime) -> ScheduleInfo:
    """A schedule as people read it, from its definition and its mark, without fires."""
    next_run_at = next_instant(schedule, max(mark.at or schedule.since, schedule.since))
    return ScheduleInfo(
        schedule=schedule,
        version=version,
        next_run_at=next_run_at,
        last_run_at=_last_run(mark),
        run_count=mark.count,
        late=next_run_at is not None and next_run_at < now - LATE,
    )


def revised() -> Put:
    """Tells schedulers that a definition was changed; put after it, in one call."""
    return Put(REVISIONS, REVISION, uuid.uuid4().hex.encode())


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive parts of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


async def _document(engine: Engine, name: str) -> Document:
    [document] = await engine.get(SCHEDULE, [name])
    if document is None:
        raise ScheduleNotFound(name)
    return document


async def _with_last_run(engine: Engine, marks: Sequence[Mark]) -> Sequence[Mark]:
    """The same marks, with all fires where the newest one enqueued nothing."""
    unclear = [mark.schedule for mark in marks if mark.count and _last_run(mark) is None]
    more = (await engine.marks(unclear, FIRES_KEPT)).marks if unclear else ()
    known = {mark.schedule: mark for mark in more}
    return [known.get(mark.schedule, mark) for mark in marks]


def _last_run(mark: Mark) -> datetime | None:
    return next((fire.at for fire in mark.fires if fire.outcome is Fired.FIRED), None)


async def _last_error(engine: Engine, fires: Iterable[Fire]) -> TaskError | None:
    """The error of the newest of the tasks that failed."""
    ids = tuple(fire.task_id for fire in fires if fire.outcome is Fired.FIRED and fire.task_id)
    if not ids:
        return None
    failed = frozenset({State.FAILED})
    page = await engine.find(TaskQuery(ids=ids, states=failed, limit=len(ids)))
    errors = {task.id: task.error for task in page.tasks}
    return next((errors[each] for each in ids if each in errors), None)


def _check_that_it_fires(schedule: Schedule, now: datetime) -> None:
    if next_instant(msgspec.structs.replace(schedule, paused=False), now) is None:
        raise InvalidSchedule(
            f"schedule {schedule.name}: it would never fire, its last instant is not after now "
            f"({now.isoformat()})",
            field="timing",
        )


def _changed(name: str) -> ChangedMeanwhile:
    return ChangedMeanwhile(f"the schedule {name!r}")


def _contended(name: str) -> Conflict:
    return Conflict(f"the schedule {name!r} was changed by others {ROUNDS} times: try again")
