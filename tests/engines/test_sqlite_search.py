"""The SQLite engine answers queries by the way that costs least, and by every way alike."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tidemill.clock import VirtualClock
from tidemill.engine import ClaimRequest, TaskQuery
from tidemill.engines.sqlite import SqliteEngine
from tidemill.engines.sqlite.connection import connect
from tidemill.engines.sqlite.search import search
from tidemill.outcome import Completed, Failed, Outcome, Retried, Settlement
from tidemill.task import State, Task
from tidemill.testing import new_task, numbered_id
from tidemill.testing.builders import BROKE

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FINISHED = frozenset({State.COMPLETED, State.FAILED})
MAIL, WORK = frozenset({"mail"}), frozenset({"work"})

Matches = Callable[[Task], bool]

QUERIES: dict[str, tuple[dict[str, Any], Matches]] = {
    "all": ({}, lambda _: True),
    "one state": ({"states": frozenset({State.PENDING})}, lambda t: t.state is State.PENDING),
    "running": ({"states": frozenset({State.RUNNING})}, lambda t: t.state is State.RUNNING),
    "two states": ({"states": FINISHED}, lambda t: t.state in FINISHED),
    "a type": ({"task_types": MAIL}, lambda t: t.task_type == "mail"),
    "two types": ({"task_types": MAIL | WORK}, lambda t: t.task_type in {"mail", "work"}),
    "a type in a state": (
        {"task_types": MAIL, "states": FINISHED},
        lambda t: t.task_type == "mail" and t.state in FINISHED,
    ),
    "a queue": ({"queues": frozenset({"b"})}, lambda t: t.queue == "b"),
    "tags": ({"tags": ("x", "y")}, lambda t: t.tags == ("x", "y")),
    "a user in a state": (
        {"user_id": "u1", "states": FINISHED},
        lambda t: t.user_id == "u1" and t.state in FINISHED,
    ),
    "a project": ({"project_id": "p"}, lambda t: t.project_id == "p"),
    "a parent": ({"parent_id": numbered_id(1)}, lambda t: t.parent_id == numbered_id(1)),
    "a fingerprint": ({"fingerprint": "f1"}, lambda t: t.error is not None),
    "an error": ({"error_contains": "IT BROKE"}, lambda t: t.error is not None),
    "since": (
        {"enqueued_from": START + 60 * MINUTE},
        lambda t: t.enqueued_at >= START + 60 * MINUTE,
    ),
    "until": (
        {"enqueued_until": START + 7 * MINUTE},
        lambda t: t.enqueued_at < START + 7 * MINUTE,
    ),
    "a time and a type": (
        {"enqueued_from": START + 9 * MINUTE, "enqueued_until": START + 50 * MINUTE}
        | {"task_types": MAIL},
        lambda t: (
            START + 9 * MINUTE <= t.enqueued_at < START + 50 * MINUTE and t.task_type == "mail"
        ),
    ),
    "a time that is over": ({"enqueued_until": START}, lambda _: False),
    "nothing": ({"states": frozenset({State.BLOCKED})}, lambda _: False),
}


@asynccontextmanager
async def _filled(folder: Path) -> AsyncIterator[SqliteEngine]:
    """120 tasks, one a minute, of all kinds and in many states; ids fall as often as they rise."""
    clock = VirtualClock(START)
    engine = SqliteEngine(folder / "a.db", clock=clock)
    for n in range(120):
        task = new_task(
            numbered_id(1 + n * 37 % 120),
            task_type=("work", "work", "mail", "rare")[n % 4],
            queue="ab"[n % 3 == 0],
            tags=((), ("x",), ("x", "y"))[n % 3],
            user_id=(None, "u1", "u2")[n % 3],
            project_id=(None, "p")[n % 7 == 0],
            parent_id=(None, numbered_id(1))[n % 11 == 0],
            delay=(None, timedelta(days=1))[n % 5 == 0],
        )
        await engine.enqueue([task])
        clock.advance(MINUTE)
    request = ClaimRequest(
        claim_id=numbered_id(999), worker="w", queues=None, task_types=MAIL | WORK, limit=50
    )
    outcomes: list[Outcome] = [Completed(), Failed(BROKE), Retried(BROKE, MINUTE)]
    claims = (await engine.claim(request))[:-8]
    settlements = [Settlement(claim.ref, outcomes[n % 3]) for n, claim in enumerate(claims)]
    await engine.settle(settlements)
    yield engine
    await engine.close()


@pytest.mark.parametrize("name", QUERIES)
async def test_a_query_finds_what_matches_page_by_page_newest_first(
    tmp_path: Path, name: str
) -> None:
    filters, matches = QUERIES[name]
    async with _filled(tmp_path) as engine:
        everything = (await engine.find(TaskQuery(limit=1_000))).tasks
        assert len(everything) == 120
        expected = sorted((task.id for task in everything if matches(task)), reverse=True)
        found: list[str] = []
        before: str | None = None
        while True:
            page = await engine.find(TaskQuery(**filters, limit=7, before=before))
            found += [task.id for task in page.tasks]
            before = page.cursor
            if before is None:
                break
        assert found == expected


@pytest.mark.parametrize(
    ("filters", "way"),
    [
        ({}, "tidemill_task_id"),
        ({"states": frozenset({State.FAILED})}, "tidemill_task_state"),
        ({"states": frozenset({State.RUNNING})}, "tidemill_task_running"),
        ({"task_types": frozenset({"rare"})}, "tidemill_task_type"),
        ({"user_id": "u1", "states": FINISHED}, "tidemill_task_user"),
        ({"tags": ("y",), "task_types": MAIL}, "tidemill_tag"),
        ({"error_contains": "x"}, "tidemill_task_fingerprint"),
        ({"enqueued_until": START + 2 * MINUTE}, "NOT INDEXED"),
    ],
)
async def test_a_query_goes_by_what_holds_the_fewest_tasks(
    tmp_path: Path, filters: dict[str, Any], way: str
) -> None:
    async with _filled(tmp_path):
        on = connect(tmp_path / "a.db", "standard", write=False)
        chosen = search(on, TaskQuery(**filters, limit=3))
        on.close()
        assert chosen is not None
        assert way in chosen.sql


async def test_what_the_counts_exclude_is_not_searched(tmp_path: Path) -> None:
    async with _filled(tmp_path):
        on = connect(tmp_path / "a.db", "standard", write=False)
        query = TaskQuery(task_types=frozenset({"rare"}), states=frozenset({State.COMPLETED}))
        assert search(on, query) is None
        on.close()
