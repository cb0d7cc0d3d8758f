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

    async def run(self) -> None:
        """Watch until cancelled; raises the error of an engine that refuses.

        It looks a while after its start: others are just starting too.
        """
        if not self._settings.enabled:
            await asyncio.Event().wait()
        await asyncio.sleep(self._settings.every)
        await repeat(self._app, "alerts", self.look)

    async def look(self, engine: Engine) -> float:
        """Take readings once, and tell what is news; answers when to look again, in seconds.

        How rules stand is read before: a reading older than what another node has told since would
        end an alarm that holds.
        """
        standings = await STANDINGS.read(engine)
        now, found = await readings.of_engine(engine, self._rules)
        found += self._machine.readings()
        rules = self._rules
        if self._reads_schedules(now):
            found += await readings.of_schedules(self._app, now)
        else:
            rules = tuple(rule for rule in rules if rule.name != "schedule_late")
        await self._judge(engine, rules, standings, found, now)
        if self._settings.failures:
            await self._tell_failures(engine, now)
        return self._settings.every

    def _reads_schedules(self, now: datetime) -> bool:
        """Whether they are read in this look; in the others nothing is known of them."""
        last = self._schedules_at
        due = last is None or not timedelta() <= now - last < readings.MOST_SCHEDULES_EVERY
        if due:
            self._schedules_at = now
        return due

    async def _judge(
        self,
        engine: Engine,
        rules: Iterable[Rule],
        standings: Mapping[tuple[str, str], Kept[Standing]],
        found: Iterable[Reading],
        now: datetime,
    ) -> None:
        silent = silences(await engine.documents(SILENCE))
        by_key = {(each.rule, each.subject): each for each in found}
        news: list[tuple[Notice, int]] = []
        puts: list[Put] = []
        for rule in rules:
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
        puts = []
        for key in sorted({*failings, *failed}):
            kept = failings.get(key, Kept[Failing](None))
            standing = failures_told(kept.value or fresh, failed.get(key, {}), now)
            if standing != (kept.value or fresh):
                puts.append(FAILINGS.put(key, standing, kept.version))
        if puts:
            await engine.put(puts)
            failings = await FAILINGS.read(engine)
        await self._tell_kept(engine, failings, now)

    async def _tell_kept(
        self, engine: Engine, failings: Mapping[tuple[str, str], Kept[Failing]], now: datetime
    ) -> None:
        """Tell the numbers that are kept to be told, and that they are told.

        Nodes that look together count differently: only what was kept is told, whoever tells it.
        """
        news, puts = [], []
        for key, kept in failings.items():
            if kept.value is not None and kept.value.telling:
                news.append((await _notice(engine, *key, kept.value.telling, now), kept.version))
                told = msgspec.structs.replace(kept.value, telling=0)
                puts.append(FAILINGS.put(key, told, kept.version))
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
