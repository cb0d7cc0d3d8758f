"""Find, stats and feed: what the books tell people."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from tidemill.clock import from_micros, to_micros
from tidemill.engine import (
    FeedPage,
    Mark,
    Marks,
    QueueStatus,
    StateCount,
    Stats,
    TaskPage,
    TaskQuery,
)
from tidemill.engines.memory.books import Books
from tidemill.engines.memory.record import Record
from tidemill.task import State, Task


def find(books: Books, query: TaskQuery) -> TaskPage:
    """Tasks that match, newest id first."""
    named = (books.records.get(each) for each in dict.fromkeys(query.ids))
    records = [each for each in named if each] if query.ids else books.records.values()
    found = sorted(
        (record for record in records if _matches(record, query)),
        key=lambda record: record.new.id,
        reverse=True,
    )
    page = found[: query.limit]
    more = len(found) > len(page) and bool(page)
    return TaskPage(
        tasks=tuple(_told(books, record, query) for record in page),
        cursor=page[-1].new.id if more else None,
    )


def _told(books: Books, record: Record, query: TaskQuery) -> Task:
    waits = books.waits.get(record.new.id, ())
    return record.task(details=query.details, awaiting=len(waits))


def _matches(record: Record, query: TaskQuery) -> bool:
    new, error = record.new, record.error
    needle = query.error_contains
    return (
        (not query.states or record.state in query.states)
        and (not query.task_types or new.task_type in query.task_types)
        and (not query.queues or new.queue in query.queues)
        and set(query.tags) <= set(new.tags)
        and query.user_id in (None, new.user_id)
        and query.project_id in (None, new.project_id)
        and query.parent_id in (None, new.parent_id)
        and query.fingerprint in (None, error and error.fingerprint)
        and (
            needle is None
            or (error is not None and needle.lower() in f"{error.type}\n{error.message}".lower())
        )
        and (query.enqueued_from is None or record.enqueued >= to_micros(query.enqueued_from))
        and (query.enqueued_until is None or record.enqueued < to_micros(query.enqueued_until))
        and (query.before is None or new.id < query.before)
    )


def stats(books: Books) -> Stats:
    """Counts and queues now."""
    counts = Counter(
        (record.new.queue, record.new.task_type, record.state) for record in books.records.values()
    )
    return Stats(
        at=from_micros(books.now()),
        counts=tuple(StateCount(*key, count) for key, count in sorted(counts.items())),
        queues=tuple(_status(books, name) for name in sorted(books.queues)),
    )


def _status(books: Books, name: str) -> QueueStatus:
    queue = books.queues[name]
    waiting = [
        record.due for record in books.by_state[State.PENDING].values() if record.new.queue == name
    ]
    return QueueStatus(
        definition=queue.definition,
        paused=queue.paused,
        oldest_pending_at=from_micros(min(waiting)) if waiting else None,
    )


def marks(books: Books, schedules: Sequence[str], fires: int) -> Marks:
    """How far schedules have come."""
    kept = books.timetables
    return Marks(
        from_micros(books.now()),
        tuple(kept[name].mark(name, fires) if name in kept else Mark(name) for name in schedules),
    )


def feed(books: Books, after: str | None, limit: int) -> FeedPage:
    """The part of the feed behind a cursor; a cursor is the number of entries before it."""
    first = books.fed - len(books.feed)
    position = books.fed if after is None else int(after or first)
    start = max(position, first)
    entries = tuple(islice(books.feed, start - first, start - first + limit))
    return FeedPage(entries=entries, cursor=str(start + len(entries)), cut=position < first)
