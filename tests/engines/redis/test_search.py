"""What people search by: it follows the tasks, finds what is there, and costs no scan."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.engines.redis.campaign import QUEUES, TYPES, Campaign
from tests.engines.redis.hands import command, looking, opened
from tidemill.engine import TaskQuery
from tidemill.engines.redis import search
from tidemill.engines.redis.cluster import ClusterEngine
from tidemill.engines.redis.engine import RedisEngine
from tidemill.outcome import Completed, Settlement
from tidemill.task import State, Task
from tidemill.testing.builders import numbered_id
from tidemill.testing.lab import Lab, LabClock

NO_TIME = timedelta(0)


def indexed(lab: Lab) -> RedisEngine | ClusterEngine:
    assert isinstance(lab.engine, RedisEngine | ClusterEngine)
    return lab.engine


async def completed(lab: Lab, count: int) -> list[str]:
    """Enqueue and complete so many tasks."""
    tasks = [lab.new(tags=("t",)) for _ in range(count)]
    await lab.enqueue(*tasks)
    claims = await lab.claim(count)
    await lab.engine.settle([Settlement(claim.ref, Completed()) for claim in claims])
    return [task.id for task in tasks]


def scans(url: str) -> int:
    """How often somebody walked the keyspace of a server."""
    texts = [answer.decode() for answer in command(url, "INFO", "commandstats")]
    counts = [re.findall(r"cmdstat_(?:scan|keys):calls=(\d+)", text) for text in texts]
    return sum(int(count) for found in counts for count in found)


QUERIES: tuple[dict[str, Any], ...] = (
    {},
    *({"states": frozenset({state})} for state in State),
    {"states": frozenset({State.FAILED, State.CANCELLED})},
    *({"task_types": frozenset({name})} for name in TYPES),
    *({"queues": frozenset({name})} for name in QUEUES),
    {"queues": frozenset({"a", "b"}), "task_types": frozenset({"work"})},
    {"queues": frozenset({"nowhere"})},
    *({"user_id": user} for user in ("u1", "u2", "nobody")),
    {"project_id": "p"},
    {"tags": ("t",)},
    {"tags": ("t", "u"), "user_id": "u1", "states": frozenset({State.COMPLETED})},
    {"fingerprint": "f1"},
    {"fingerprint": "f2"},
    {"error_contains": "BROKE"},
    {"error_contains": "no such words"},
    {"tags": ("u",), "error_contains": "it"},
)


def fits(task: Task, query: dict[str, Any]) -> bool:
    """Whether a query means a task, read from its record alone."""
    error = task.error
    of: dict[str, Callable[[Any], bool]] = {
        "states": lambda wanted: task.state in wanted,
        "task_types": lambda wanted: task.task_type in wanted,
        "queues": lambda wanted: task.queue in wanted,
        "user_id": lambda wanted: task.user_id == wanted,
        "project_id": lambda wanted: task.project_id == wanted,
        "tags": lambda wanted: {*wanted} <= {*task.tags},
        "fingerprint": lambda wanted: error is not None and error.fingerprint == wanted,
        "error_contains": lambda wanted: (
            error is not None and wanted.lower() in f"{error.type}\n{error.message}".lower()
        ),
    }
    return all(of[name](wanted) for name, wanted in query.items())


async def pages(lab: Lab, query: dict[str, Any]) -> list[Task]:
    """All tasks of a query, page by page."""
    found: list[Task] = []
    before = None
    while True:
        page = await lab.engine.find(TaskQuery(limit=7, before=before, **query))
        found += page.tasks
        before = page.cursor
        if before is None:
            return found


@pytest.mark.parametrize("seed", [1, 3])
async def test_every_query_finds_exactly_the_tasks_that_it_means(url: str, seed: int) -> None:
    async with opened(url, clock=LabClock()) as lab:
        campaign = Campaign(lab, seed)
        for part in range(3):
            await campaign.run(60)
            there = await lab.find(ids=tuple(campaign.ids), details=False)
            assert len({task.state for task in there}) > 3 + part
            for query in QUERIES:
                expected = [task for task in there if fits(task, query)]
                assert await pages(lab, query) == expected, query


async def test_no_query_walks_the_keyspace(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab:
        await Campaign(lab, 3).run(60)
        before = scans(url)
        for query in QUERIES:
            await lab.engine.find(TaskQuery(**query))
        await lab.engine.stats()
        await lab.feed()
        assert scans(url) == before


async def test_the_lag_of_the_index_is_told_and_made_up_by_promotion(url: str) -> None:
    async with opened(url) as lab:
        await completed(lab, 10)
        assert await indexed(lab).unindexed() == 30
        await lab.engine.promote(1)
        assert await indexed(lab).unindexed() == 0


async def test_a_removed_task_is_gone_from_the_index_at_once(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        ids = await completed(lab, 3)
        assert await lab.found() == ids[::-1]
        await lab.engine.remove(ids)
        assert [key for key in await look.keys() if ":index:" in key] == []
        assert await lab.found() == []


@pytest.mark.parametrize("before", [0, 10])
async def test_a_feed_that_was_cut_before_it_was_indexed_loses_no_task(
    url: str, before: int
) -> None:
    async with opened(url) as lab, looking(url) as look:
        ids = await completed(lab, before)
        await lab.engine.promote(1)
        ids += await completed(lab, 20)
        ids += [await lab.add()]
        await look.ask("XTRIM", look.key("feed"), "MAXLEN", 1)
        assert await lab.found() == ids[::-1]
        assert await lab.found(tags=("t",)) == ids[-2::-1]


async def test_a_broken_index_is_made_again_by_command(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        campaign = Campaign(lab, 5)
        await campaign.run(80)
        expected = {str(query): await pages(lab, query) for query in QUERIES}
        for key in await look.keys():
            if ":index:" in key:
                await look.ask("DEL", key)
        assert await lab.find() == []
        await look.ask("ZADD", look.key("index", "tag:t", queue="a"), 0, numbered_id(999))
        told: list[int] = []
        total = await indexed(lab).reindex(told.append)
        assert told == sorted(told)
        assert told[-1] == total >= len(expected["{}"])
        assert {str(query): await pages(lab, query) for query in QUERIES} == expected


async def test_the_index_is_capped_and_lets_the_oldest_completed_tasks_go(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST", 50)
    async with opened(url) as lab, looking(url) as look:
        waiting = [await lab.add(delay=timedelta(hours=1)) for _ in range(10)]
        ids = [*await completed(lab, 60), *await completed(lab, 60)]
        await lab.engine.promote(1)
        assert await lab.found() == [*ids[:-51:-1], *waiting[::-1]]
        assert await lab.found(tags=("t",)) == ids[:-51:-1]
        assert len(await lab.find(ids=tuple(ids))) == 120
        sizes = [
            await look.ask("ZCARD", key) for key in await look.keys() if ":index:place:" in key
        ]
        assert sum(sizes) == 60
        assert await lab.engine.remove(ids) == [True] * 120
        assert await lab.found() == waiting[::-1]


async def test_the_feed_keeps_what_the_index_has_not_taken_in(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all tasks would be indexed again whenever a burst outruns it."""
    monkeypatch.setattr(search, "STEPS", 0)
    async with opened(url) as lab:
        first = await lab.end_of_feed()
        for _ in range(3):
            tasks = [lab.new() for _ in range(40_000)]
            for start in range(0, len(tasks), 2_000):
                await lab.enqueue(*tasks[start : start + 2_000])
        page = await lab.engine.feed(first, 1, timedelta(0))
        assert not page.cut
        assert await indexed(lab).unindexed() >= 120_000
