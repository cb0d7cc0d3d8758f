"""Looks for changed definitions, sleeps until the next instant, and fires what is due.

Once a second it asks whether a definition changed, and what time it is for the engine: a worker's
own clock decides nothing. Any number of schedulers try to fire the same instants, and the engine
lets one of them.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tidemill.app import Tidemill
from tidemill.app.declared import reconcile
from tidemill.app.repeating import repeat
from tidemill.app.schedules import REVISION, REVISIONS, batched
from tidemill.clock import EPOCH
from tidemill.engine import SCHEDULE, Document, Engine, Fired, Firing
from tidemill.events import (
    ScheduleBroken,
    ScheduleFired,
    ScheduleMissed,
    ScheduleSkipped,
)
from tidemill.schedule import Plan, decode, next_instant, plan
from tidemill.scheduler.agenda import Agenda, Entry

LOOK_EVERY = 1.0
"""Seconds between looks: how long a new definition may stay unseen."""

RELOAD_EVERY = 60.0
"""Seconds after which definitions are read even if none is said to have changed."""

PACE = 0.2
"""Seconds from one round of fires to the next at least: what falls due meanwhile goes in one call.

With 10,000 schedules of periods from a minute to a day (22 fires a second, on SQLite) rounds 0.05 s
apart cost 1.8 % of a core, 0.2 s apart 0.7 %.
"""

BATCH = 500
"""Firings in one call, so that others get their turn at the engine."""

BREATH = 50
"""Schedules worked out before other coroutines of this process get their turn."""


class Planned(NamedTuple):
    """What a schedule has due."""

    entry: Entry
    plan: Plan


class Scheduler:
    """Fires the schedules of an engine, those of other applications too.

    When it starts, what its application declares is reconciled with what the engine has. It emits
    `ScheduleFired`, `ScheduleSkipped`, `ScheduleMissed`, and `ScheduleBroken` for a definition
    that it cannot use, which never stops the others.
    """

    def __init__(self, app: Tidemill) -> None:
        self._app = app
        self._agenda = Agenda()
        self._reconciled = False
        self._revision: bytes | None = None
        self._look_at = self._reload_at = 0.0
        self._ahead = timedelta()

    @property
    def next_at(self) -> datetime | None:
        """The earliest instant that it knows of and has not dealt with."""
        return self._agenda.next_at

    async def run(self) -> None:
        """Fire until cancelled."""
        await repeat(self._app, "schedule", self._turn)

    async def catch_up(self) -> None:
        """Fire all that is due by the engine's now, with definitions as they are now."""
        engine = await self._app.engine()
        now = await self._look(engine)
        while self.next_at is not None and self.next_at <= now:
            await self._fire(engine, now)

    async def _turn(self, engine: Engine) -> float:
        """Do what is to be done now; answers after how many seconds to do it again."""
        if time.monotonic() >= self._look_at:
            await self._look(engine)
        fired = await self._fire(engine, self._now())
        pause = self._look_at - time.monotonic()
        if self.next_at is not None:
            pause = min(pause, (self.next_at - self._now()).total_seconds())
        return max(PACE if fired else 0, pause)

    def _now(self) -> datetime:
        """The engine's now, or a little before it: by as much as its last answer took."""
        return EPOCH + timedelta(seconds=time.monotonic()) + self._ahead

    # what there is

    async def _look(self, engine: Engine) -> datetime:
        """See what time it is for the engine, which it answers, and what has changed."""
        if not self._reconciled:
            await reconcile(self._app, engine)
            self._reconciled = True
        [found] = await engine.get(REVISIONS, [REVISION])
        revision = found.body if found else None
        now = (await engine.marks([])).at
        started = time.monotonic()
        self._ahead = now - EPOCH - timedelta(seconds=started)
        if revision != self._revision or started >= self._reload_at:
            await self._load(engine)
            self._revision, self._reload_at = revision, started + RELOAD_EVERY
        self._look_at = started + LOOK_EVERY
        return now

    async def _load(self, engine: Engine) -> None:
        for some in batched(self._agenda.news(await engine.documents(SCHEDULE)), BATCH):
            marks = (await engine.marks([document.key for document in some])).marks
            for part in batched(list(zip(some, marks, strict=True)), BREATH):
                for document, mark in part:
                    self._enter(document, mark.at)
                await asyncio.sleep(0)

    def _enter(self, document: Document, mark: datetime | None) -> None:
        try:
            schedule = decode(document.body)
            begin = max(mark or schedule.since, schedule.since)
            entry = Entry(document, schedule, mark, next_instant(schedule, begin))
        except Exception as problem:  # noqa: BLE001  # one definition must not stop the others
            self._set_aside(document, problem)
        else:
            self._agenda.add(entry)

    def _set_aside(self, document: Document, problem: Exception) -> None:
        self._agenda.set_aside(document)
        self._app.bus.emit(ScheduleBroken(document.key, f"{type(problem).__name__}: {problem}"))

    # what is due

    async def _fire(self, engine: Engine, now: datetime) -> bool:
        """Fire all that is due; answers whether anything was."""
        due = self._agenda.due(now)
        anything = bool(due)
        if len(due) > BATCH:
            # Schedulers that begin at different ends seldom try to fire the same ones.
            random.shuffle(due)
        try:
            while due:
                await self._fire_some(engine, due, now)
        finally:
            for entry in due:
                self._agenda.move(entry, entry.next_at)
        return anything

    async def _fire_some(self, engine: Engine, due: list[Entry], now: datetime) -> None:
        """Take some that are due from the end of the list, and fire them in one call."""
        await self._make_sure(engine, [entry for entry in due[-BATCH:] if not entry.sure])
        planned = await self._plan_some(due, now)
        firings = [firing for each in planned for firing in each.plan.firings]
        try:
            answers = await engine.fire(firings)
        except BaseException:
            for entry, _ in planned:
                entry.sure = False
                due.append(entry)
            raise
        rest = iter(answers)
        for each in planned:
            self._record(each, [next(rest) for _ in each.plan.firings])
        if Fired.ALREADY in answers:
            # Others are at work on the same instants.
            for entry in due:
                entry.sure = False
        await self._tell(engine, firings, answers)

    async def _make_sure(self, engine: Engine, entries: Sequence[Entry]) -> None:
        if entries:
            names = [entry.document.key for entry in entries]
            marks = (await engine.marks(names)).marks
            for entry, mark in zip(entries, marks, strict=True):
                entry.mark, entry.sure = mark.at, True

    async def _plan_some(self, due: list[Entry], now: datetime) -> list[Planned]:
        planned: list[Planned] = []
        firings = 0
        while due and firings < BATCH and len(planned) < BATCH:
            entry = due.pop()
            version = entry.document.version
            try:
                made = plan(entry.schedule, version, entry.mark, now)
            except Exception as problem:  # noqa: BLE001  # one definition must not stop the others
                self._set_aside(entry.document, problem)
                continue
            planned.append(Planned(entry, made))
            firings += len(made.firings)
            if len(planned) % BREATH == 0:
                await asyncio.sleep(0)
        return planned

    def _record(self, planned: Planned, answers: Sequence[Fired]) -> None:
        entry, made = planned
        if Fired.CHANGED in answers:
            self._agenda.forget(entry.document.key)
            self._reload_at = 0.0
            return
        if Fired.EARLY in answers:
            self._look_at = 0.0
            entry.sure = False
            self._agenda.move(entry, made.firings[answers.index(Fired.EARLY)].at)
            return
        if made.firings:
            entry.mark = made.firings[-1].at
        entry.sure = Fired.ALREADY not in answers
        self._agenda.move(entry, made.next_at)

    async def _tell(
        self, engine: Engine, firings: Sequence[Firing], answers: Sequence[Fired]
    ) -> None:
        bus, now = self._app.bus, self._now()
        skipped: dict[str, Firing] = {}
        for firing, answer in zip(firings, answers, strict=True):
            if answer is Fired.FIRED and firing.task is not None:
                lag = now - firing.at
                bus.emit(ScheduleFired(firing.schedule, firing.at, firing.task.id, lag))
            elif answer is Fired.MISSED:
                bus.emit(ScheduleMissed(firing.schedule, firing.at, firing.missed))
            elif answer is Fired.SKIPPED:
                skipped[firing.schedule] = firing
        if skipped and bus.wanted(ScheduleSkipped):
            for mark in (await engine.marks(list(skipped), 1)).marks:
                if mark.fires and mark.fires[0].task_id:
                    at = skipped[mark.schedule].at
                    bus.emit(ScheduleSkipped(mark.schedule, at, mark.fires[0].task_id))
