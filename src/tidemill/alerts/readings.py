"""What the rules are about, read from the engine and from this machine."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import psutil

from tidemill.alert import FEWEST, Reading, Rule
from tidemill.app import Tidemill
from tidemill.app.schedules import LATE
from tidemill.engine import Engine, HistoryQuery, Stats, Tally, TaskQuery
from tidemill.serving import unserved
from tidemill.task import State, Task
from tidemill.worker_record import WORKER, WorkerInfo, described

MOST_RUNNING = 500
"""Running tasks that are looked at: the newest by id, where there are more."""

MOST_SCHEDULES_EVERY = timedelta(minutes=1)
"""How often schedules are read: they may be 10,000."""


class Machine:
    """The load of this machine; how busy it is is measured between two readings."""

    def __init__(self, host: str) -> None:
        self._host = host
        psutil.cpu_percent()

    def readings(self) -> Iterator[Reading]:
        """In percent."""
        yield Reading("cpu", self._host, psutil.cpu_percent())
        yield Reading("memory", self._host, psutil.virtual_memory().percent)


async def of_engine(engine: Engine, rules: Iterable[Rule]) -> tuple[datetime, list[Reading]]:
    """What the engine's tasks, queues and workers say, and its time."""
    by_name = {rule.name: rule for rule in rules}
    stats = await engine.stats()
    workers = described(await engine.documents(WORKER), stats.at)
    found = [*_of_queues(stats), *_of_workers(stats, workers)]
    if "task_running" in by_name:
        running = TaskQuery(states=frozenset({State.RUNNING}), limit=MOST_RUNNING)
        found += _longest((await engine.find(running)).tasks, stats.at)
    if rule := by_name.get("failure_percentage"):
        minute = stats.at.replace(second=0, microsecond=0)
        # The window at least, in whole minutes: the one that has begun is counted besides.
        query = HistoryQuery(since=minute - rule.window, until=minute + timedelta(minutes=1))
        tallies = await engine.history(query)
        found += _failure_percentages(tallies)
    return stats.at, found


async def of_schedules(app: Tidemill, now: datetime) -> list[Reading]:
    """The schedules that are late, each with the seconds that it is over the time allowed."""
    return [
        Reading(
            "schedule_late", each.schedule.name, (now - LATE - each.next_run_at).total_seconds()
        )
        for each in await app.schedules.list()
        if each.late and each.next_run_at is not None
    ]


def _of_queues(stats: Stats) -> Iterator[Reading]:
    pending: dict[str, int] = {}
    failed: dict[str, int] = {}
    for each in stats.counts:
        if each.state is State.PENDING:
            pending[each.queue] = pending.get(each.queue, 0) + each.count
        elif each.state is State.FAILED:
            failed[each.queue] = failed.get(each.queue, 0) + each.count
    yield from (Reading("queue_pending", queue, count) for queue, count in pending.items())
    yield from (Reading("failed_tasks", queue, count) for queue, count in failed.items())


def _of_workers(stats: Stats, workers: list[WorkerInfo]) -> Iterator[Reading]:
    live = [each.worker for each in workers if each.live]
    waiting = sum(each.count for each in stats.counts if not each.state.final)
    yield Reading("no_worker", "", float(not live and (waiting > 0 or bool(workers))))
    for lacking in unserved(stats, live).queues if live else ():
        yield Reading("queue_unserved", lacking.queue, lacking.pending)
    yield from (Reading("worker_lost", each.worker.name, 1) for each in workers if not each.live)


def _longest(running: Iterable[Task], now: datetime) -> Iterator[Reading]:
    ages: dict[str, float] = {}
    for task in running:
        if task.started_at is not None:
            age = (now - task.started_at).total_seconds()
            ages[task.task_type] = max(ages.get(task.task_type, 0), age)
    yield from (Reading("task_running", task_type, age) for task_type, age in ages.items())


def _failure_percentages(tallies: Iterable[Tally]) -> Iterator[Reading]:
    ended: dict[str, list[int]] = {}
    for tally in tallies:
        completed, failed = ended.setdefault(tally.queue, [0, 0])
        ended[tally.queue] = [completed + tally.completed, failed + tally.failed]
    for queue, (completed, failed) in ended.items():
        if completed + failed >= FEWEST:
            yield Reading("failure_percentage", queue, 100 * failed / (completed + failed))
