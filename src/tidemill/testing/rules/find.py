"""Rules about finding tasks: the seam, `TaskQuery` and `TaskPage`."""

from datetime import timedelta
from typing import Any

from tidemill.engine import TaskQuery
from tidemill.outcome import Completed, Failed, Retried
from tidemill.task import LogLine, State, TaskError
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)
PARENT = numbered_id(77_000)


async def tasks_are_found_newest_id_first(lab: Lab) -> None:
    """`TaskQuery`."""
    tasks = [lab.new() for _ in range(4)]
    await lab.enqueue(tasks[2], tasks[0], tasks[3], tasks[1])
    assert await lab.found() == [task.id for task in reversed(tasks)]


async def each_filter_finds_what_it_names(lab: Lab) -> None:
    """`TaskQuery`: empty collections do not restrict."""
    plain = await lab.add()
    lab.clock.advance(MINUTE)
    told: dict[str, dict[str, Any]] = {
        "type": {"task_type": "mail"},
        "queue": {"queue": "slow"},
        "tags": {"tags": ("a", "b", "c")},
        "user": {"user_id": "u1"},
        "project": {"project_id": "p1"},
        "parent": {"parent_id": PARENT},
        "scheduled": {"delay": MINUTE},
    }
    ids = {name: await lab.add(**options) for name, options in told.items()}
    wanted: dict[str, dict[str, Any]] = {
        "type": {"task_types": frozenset({"mail", "none"})},
        "queue": {"queues": frozenset({"slow", "none"})},
        "tags": {"tags": ("c", "a")},
        "user": {"user_id": "u1"},
        "project": {"project_id": "p1"},
        "parent": {"parent_id": PARENT},
        "scheduled": {"states": frozenset({State.SCHEDULED, State.FAILED})},
    }
    for name, query in wanted.items():
        assert await lab.found(**query) == [ids[name]], name
    assert len(await lab.found()) == len(ids) + 1
    assert await lab.found(tags=("a", "z")) == []
    assert await lab.found(ids=(plain, numbered_id(404_404), ids["tags"])) == [ids["tags"], plain]


async def filters_narrow_together(lab: Lab) -> None:
    """`TaskQuery`: all of them hold."""
    await lab.add(user_id="u1")
    both = await lab.add(user_id="u1", tags=("a",), queue="slow")
    await lab.add(user_id="u2", tags=("a",), queue="slow")
    assert await lab.found(
        user_id="u1",
        tags=("a",),
        queues=frozenset({"slow"}),
        task_types=frozenset({"work"}),
        states=frozenset({State.PENDING}),
    ) == [both]


async def a_tag_is_matched_whole(lab: Lab) -> None:
    """`TaskQuery.tags`: no prefix, no wildcard."""
    await lab.add(tags=("alpha", "100%"))
    for tag in ("alpha-", "alpha ", "%", "100_", "ALPHA"):
        assert await lab.found(tags=(tag,)) == [], tag
    assert len(await lab.found(tags=("100%", "alpha"))) == 1


async def instants_of_enqueueing_are_from_and_until(lab: Lab) -> None:
    """`TaskQuery`: from is included, until is not."""
    ids = []
    for _ in range(3):
        ids.append(await lab.add())
        lab.clock.advance(MINUTE)
    second = lab.now(-2 * MINUTE)
    assert await lab.found(enqueued_from=second) == [ids[2], ids[1]]
    assert await lab.found(enqueued_until=second) == [ids[0]]
    assert await lab.found(enqueued_from=second, enqueued_until=second + MINUTE) == [ids[1]]


async def errors_are_found_by_fingerprint_and_by_text(lab: Lab) -> None:
    """`error_contains`: type and message, without case, nothing is a wildcard."""
    claims = [await lab.start() for _ in range(3)]
    await lab.settle(claims[0], Failed(TaskError("httpx.ReadTimeout", "50% of 10_000", "", "f9")))
    await lab.settle(claims[1], Retried(BROKE, MINUTE))
    await lab.settle(claims[2], Completed())
    failed, retried = (claim.ref.task_id for claim in claims[:2])
    assert await lab.found(fingerprint="f9") == [failed]
    assert await lab.found(fingerprint="f") == []
    for text in ("readtimeout", "HTTPX", "50%", "10_000", "of 10"):
        assert await lab.found(error_contains=text) == [failed], text
    assert await lab.found(error_contains="IT BROKE") == [retried]
    for text in ("5%0", "10?000", "1__000", "traceback"):
        assert await lab.found(error_contains=text) == [], text


async def pages_follow_each_other_without_gap_or_overlap(lab: Lab) -> None:
    """`TaskQuery.before` and `TaskPage.cursor`: None on the last page, also when it is full."""
    tasks = [lab.new(tags=("even",) if n % 2 else ()) for n in range(12)]
    await lab.enqueue(*tasks)
    newest_first = [task.id for task in reversed(tasks)]
    for tags, wanted in (((), newest_first), (("even",), newest_first[::2])):
        pages, before = [], None
        while True:
            page = await lab.engine.find(TaskQuery(tags=tags, before=before, limit=3))
            pages.append([task.id for task in page.tasks])
            if page.cursor is None:
                break
            before = page.cursor
        assert [task_id for ids in pages for task_id in ids] == wanted
        assert all(len(ids) == 3 for ids in pages)


async def a_page_is_not_disturbed_by_tasks_that_come_and_go(lab: Lab) -> None:
    """`TaskPage.cursor`: continues after the tasks that were answered."""
    ids = [await lab.add() for _ in range(4)]
    page = await lab.engine.find(TaskQuery(limit=2))
    await lab.add()
    await lab.engine.cancel([ids[2]])
    await lab.engine.remove([ids[2]])
    rest = await lab.engine.find(TaskQuery(limit=2, before=page.cursor))
    assert [task.id for task in rest.tasks] == [ids[1], ids[0]]


async def details_are_filled_only_when_asked_for(lab: Lab) -> None:
    """`TaskQuery.details`: payload, attempts and logs; everything else is always there."""
    claim = await lab.start(payload=b"[1]", tags=("t",), headers={"a": "b"})
    await lab.settle(claim, Failed(BROKE), logs=(LogLine(lab.now(), "info", "hello", 1),))
    [whole] = await lab.find()
    [brief] = (await lab.engine.find(TaskQuery())).tasks
    assert (whole.payload, len(whole.attempts), len(whole.logs)) == (b"[1]", 1, 1)
    assert (brief.payload, brief.attempts, brief.logs) == (None, (), ())
    fields = set(whole.__struct_fields__) - {"payload", "attempts", "logs"}
    assert {name for name in fields if getattr(whole, name) != getattr(brief, name)} == set()


async def an_empty_engine_finds_nothing(lab: Lab) -> None:
    """`TaskPage`."""
    page = await lab.engine.find(TaskQuery())
    assert (page.tasks, page.cursor) == ((), None)


async def all_instants_are_aware_and_utc(lab: Lab) -> None:
    """`Task`: aware and UTC, exact to the microsecond."""
    lab.clock.advance(timedelta(microseconds=123_457))
    claim = await lab.start(expires_at=lab.now(MINUTE))
    await lab.settle(claim, Completed())
    task = await lab.task(claim.ref.task_id)
    for instant in (task.enqueued_at, task.run_at, task.started_at, task.finished_at):
        assert instant == lab.now()
        assert instant.utcoffset() == timedelta(0)
    assert task.expires_at == lab.now(MINUTE)
    assert task.prune_at == lab.now(timedelta(days=7))
