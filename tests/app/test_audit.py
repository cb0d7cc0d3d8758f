"""Entries of the audit: kept by day, listed newest first, pruned."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidemill import Tidemill, VirtualClock
from tidemill.app.audit import AUDIT, AuditEntry
from tidemill.engine import Document
from tidemill.engines.memory import MemoryEngine

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Counted(MemoryEngine):
    """A memory engine that notes which kinds of documents were listed."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.listed: list[str] = []

    async def documents(self, kind: str, prefix: str = "") -> list[Document]:
        self.listed.append(kind)
        return await super().documents(kind, prefix)


@asynccontextmanager
async def three_days() -> AsyncIterator[tuple[Tidemill, Counted]]:
    """An application whose audit has an entry on each of three days, with gaps between them."""
    clock = VirtualClock(START)
    engine, app = Counted(clock), Tidemill("memory://")
    app.use_engine(engine, clock=clock)
    for number in range(3):
        await app.audit.record(
            f"key:{number % 2}", "pause_queue", status=200, subject={"queue_name": f"q{number}"}
        )
        clock.advance(10 * DAY)
    engine.listed.clear()
    yield app, engine


def _queues(found: list[AuditEntry]) -> list[str]:
    return [each.subject["queue_name"] for each in found]


async def test_entries_are_listed_newest_first_by_who_what_and_when() -> None:
    async with three_days() as (app, _):
        audit = app.audit
        assert _queues(await audit.list()) == ["q2", "q1", "q0"]
        assert _queues(await audit.list(limit=2)) == ["q2", "q1"]
        assert _queues(await audit.list(who="key:0")) == ["q2", "q0"]
        assert await audit.list(action="purge_queue") == []
        assert _queues(await audit.list(since=START + 10 * DAY)) == ["q2", "q1"]
        assert _queues(await audit.list(until=START + 10 * DAY)) == ["q0"]
        assert _queues(await audit.list(START + DAY, START + 11 * DAY)) == ["q1"]


async def test_a_listing_reads_no_more_days_than_it_needs() -> None:
    async with three_days() as (app, engine):
        await app.audit.list(limit=1)
        assert engine.listed == [AUDIT, "audit:2026-01-21"]
        engine.listed.clear()
        await app.audit.list(until=START + DAY)
        assert engine.listed == [AUDIT, "audit:2026-01-01"]


async def test_entries_of_one_instant_are_all_kept(tmp_path: Path) -> None:
    app = Tidemill(f"sqlite:///{tmp_path / 'a.db'}")
    for number in range(50):
        await app.audit.record("key:a", "x", status=200, subject={"n": str(number)})
    found = await app.audit.list()
    assert [each.subject["n"] for each in found] == [str(each) for each in reversed(range(50))]
    await app.close()


async def test_pruning_removes_what_is_older_and_the_days_that_are_empty_then() -> None:
    async with three_days() as (app, engine):
        assert await app.audit.prune(15 * DAY) == 2
        assert _queues(await app.audit.list()) == ["q2"]
        assert [each.key for each in await engine.documents(AUDIT)] == ["2026-01-21"]
        assert await app.audit.prune(15 * DAY) == 0
        await app.audit.record("key:a", "x", status=200, subject={"queue_name": "now"})
        assert await app.audit.prune(timedelta()) == 1
        assert _queues(await app.audit.list()) == ["now"]
