"""The loop that looks at the readings and tells what is news. Any number of nodes may run it.

How a rule stands is a document, and who changes it first tells. What is told is enqueued before
that, under an id made of the crossing, so that a node that ends in between leaves nothing untold
and nothing is told twice.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from tidemill.alert import (
    AlertLevel,
    AlertSettings,
    Failing,
    Notice,
    Reading,
    Rule,
    Silence,
    Standing,
    changed,
    failures_told,
    judged,
)
from tidemill.alerts import readings
from tidemill.alerts.delivery import Delivery
from tidemill.alerts.kept import FAILINGS, STANDINGS, Kept, oldest
from tidemill.alerts.notices import FailuresNotice
from tidemill.app import Tidemill
from tidemill.app.alerts import SILENCE, silences
from tidemill.app.repeating import repeat
from tidemill.engine import Engine, HistoryQuery, Put, TaskQuery
from tidemill.task import State

OWN_QUEUES = "tidemill."
"""The queues whose own failures nobody is told of: telling could fail again, for ever."""

SAMPLES = 5
"""Failed tasks that one notice names."""


class AlertWatch:
    """Takes readings each few seconds and tells what crossed a threshold, and what is over."""

    def __init__(self, app: Tidemill, settings: AlertSettings, delivery: Delivery) -> None:
        self._app = app
        self._settings = settings
        self._rules = changed(settings.rules)
        self._host = socket.gethostname()
        self._machine = readings.Machine(self._host)
        self._delivery = delivery
        self._schedules_at: datetime | None = None
        self._late: list[Reading] = []

    async def run(self) -> None:
        """Watch until cancelled; raises the error of an engine that refuses.

        It looks a while after its start: others are just starting too.
        """
        if not self._settings.enabled:
            await asyncio.Event().wait()
        await asyncio.sleep(self._settings.every)
        await repeat(self._app, "alerts", self.look)

    async def look(self, engine: Engine) -> float:
        """Take readings once, and tell what is news; answers when to look again, in seconds."""
        now, found = await readings.of_engine(engine, self._rules)
        found += self._machine.readings()
        found += await self._late_schedules(now)
        await self._judge(engine, found, now)
        if self._settings.failures:
            await self._tell_failures(engine, now)
        return self._settings.every

    async def _late_schedules(self, now: datetime) -> list[Reading]:
        last = self._schedules_at
        if last is None or not timedelta() <= now - last < readings.MOST_SCHEDULES_EVERY:
            self._late = await readings.of_schedules(self._app, now)
            self._schedules_at = now
        return self._late

    async def _judge(self, engine: Engine, found: Iterable[Reading], now: datetime) -> None:
        silent = silences(await engine.documents(SILENCE))
        standings = await STANDINGS.read(engine)
        by_key = {(each.rule, each.subject): each for each in found}
        news: list[tuple[Notice, int]] = []
        puts: list[Put] = []
        for rule in self._rules:
            for key in _about(rule, by_key, standings):
                if _elsewhere(key, self._host):
                    continue
                reading = by_key.get(key, Reading(*key, 0))
                kept = standings.get(key, Kept[Standing](None))
                standing, notice = judged(
                    rule, kept.value, reading, now, silenced=_silenced(silent, reading, now)
                )
                if notice is not None:
                    news.append((notice, kept.version))
                after = None if _over(rule, standing, now) else standing
                if _differs(kept.value, after):
                    puts.append(STANDINGS.put(key, after, kept.version))
        await self._delivery.tell(news)
        await engine.put(puts)

    async def _tell_failures(self, engine: Engine, now: datetime) -> None:
        failings = await FAILINGS.read(engine)
        minute = now.replace(second=0, microsecond=0)
        fresh = Failing(since=minute - timedelta(minutes=1))
        since = min(oldest(failings.values(), minute), fresh.since)
        tallies = await engine.history(
            HistoryQuery(since=since, until=minute + timedelta(minutes=1))
        )
        failed: dict[tuple[str, str], dict[datetime, int]] = {}
        for tally in tallies:
            if tally.failed and not tally.queue.startswith(OWN_QUEUES):
                failed.setdefault((tally.queue, tally.task_type), {})[tally.at] = tally.failed
        news, puts = [], []
        for key in sorted({*failings, *failed}):
            kept = failings.get(key, Kept[Failing](None))
            standing, count = failures_told(kept.value or fresh, failed.get(key, {}), now)
            if count:
                news.append((await _notice(engine, *key, count, now), kept.version))
            if standing != (kept.value or fresh):
                puts.append(FAILINGS.put(key, standing, kept.version))
        await self._delivery.tell_failures(news)
        await engine.put(puts)


async def _notice(
    engine: Engine, queue: str, task_type: str, count: int, now: datetime
) -> FailuresNotice:
    """What is told of so many new failures: their number, and the last ones."""
    query = TaskQuery(
        states=frozenset({State.FAILED}),
        queues=frozenset({queue}),
        task_types=frozenset({task_type}),
        limit=min(count, SAMPLES),
    )
    tasks = (await engine.find(query)).tasks
    return FailuresNotice(
        queue=queue,
        task_type=task_type,
        count=count,
        at=now,
        last=tuple(each.id for each in tasks),
        errors=tuple(dict.fromkeys(each.error.type for each in tasks if each.error)),
    )


def _about(
    rule: Rule,
    found: Mapping[tuple[str, str], Reading],
    standings: Mapping[tuple[str, str], Kept[Standing]],
) -> list[tuple[str, str]]:
    """What a rule is to be judged about: what was read, and what stands and was not read again."""
    return sorted(
        key for key in {*found, *standings} if key[0] == rule.name and key[1] not in rule.ignore
    )


def _elsewhere(key: tuple[str, str], host: str) -> bool:
    """Whether only another machine can read it."""
    return key[0] in {"cpu", "memory"} and key[1] != host


def _silenced(silent: Iterable[Silence], reading: Reading, now: datetime) -> bool:
    return any(each.covers(reading.rule, reading.subject, now) for each in silent)


def _differs(before: Standing | None, after: Standing | None) -> bool:
    """Whether it stands otherwise: another value alone is not worth a write."""
    if before is None or after is None:
        return before is not after
    return msgspec.structs.replace(before, value=after.value) != after


def _over(rule: Rule, standing: Standing, now: datetime) -> bool:
    """Whether nothing of it has to be remembered."""
    if standing.seen is not AlertLevel.FINE or standing.told is not AlertLevel.FINE:
        return False
    return standing.told_at is None or now - standing.told_at >= rule.cool_down
