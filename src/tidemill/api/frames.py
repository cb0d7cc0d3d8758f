"""What stands on the wire of a stream of server-sent events, and how a place in the feed is named.

A place is what a client gives back to go on: the cursor of a page of the feed, and how many of the
entries after it were seen. Their sum is checked when the page is read again, because the feed of
a cluster may come in another order then: what is not surely the same is told again, never left out.
"""

import zlib
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from tidemill.engine import FeedPage, Stats, Transition
from tidemill.interface.events import Change, Cut, QueueCounts, Standing
from tidemill.task import Progress, State, Task

RETRY: Final = b"retry: 2000\n\n"
"""Asks the client to connect again two seconds after a connection has ended."""

COMMENT: Final = b": still here\n\n"


class Place(NamedTuple):
    """A place in the feed: so many entries after a cursor, with their sum."""

    cursor: str
    seen: int = 0
    check: int = 0

    def __str__(self) -> str:
        return f"{self.cursor}+{self.seen}.{self.check:08x}" if self.seen else self.cursor


def place_of(text: str) -> Place:
    """The place that a client gives back; a text that names none is taken for a cursor."""
    cursor, plus, rest = text.rpartition("+")
    seen, _, check = rest.partition(".")
    try:
        return Place(cursor, int(seen), int(check, 16)) if plus else Place(text)
    except ValueError:
        return Place(text)


class Told(NamedTuple):
    """An entry of the feed, and the place after it."""

    entry: Transition
    place: Place


def told(cursor: str, page: FeedPage) -> list[Told]:
    """The entries of the page that was read after a cursor, each with its place."""
    entries: list[Told] = []
    check = 0
    for number, entry in enumerate(page.entries, 1):
        check = zlib.crc32(f"{entry.task_id}{entry.cause}{entry.attempt}".encode(), check)
        entries.append(Told(entry, Place(cursor, number, check)))
    if entries:
        entries[-1] = Told(entries[-1].entry, Place(page.cursor))
    return entries


def unseen(place: Place, page: FeedPage) -> list[Told]:
    """The entries of the page that was read at a place, without those seen before."""
    entries = told(place.cursor, page)
    if 0 < place.seen < len(entries) and entries[place.seen - 1].place == place:
        return entries[place.seen :]
    return entries


def change_frame(told: Told) -> bytes:
    """A transition as an event that is named for its cause."""
    entry = told.entry
    progress = entry.progress or Progress(0)
    change = Change(
        task_id=entry.task_id,
        task_type=entry.task_type,
        queue_name=entry.queue,
        status=entry.state,
        attempt=entry.attempt,
        at=entry.at,
        progress=_percent(entry.state, entry.progress),
        message=progress.message,
        step=progress.step,
        completed_steps=progress.done,
        total_steps=progress.total,
    )
    return frame(entry.cause, change, told.place)


def task_frame(task: Task, at: datetime, place: Place) -> bytes:
    """A task as it stands, as the event `state`."""
    progress = task.progress or Progress(0)
    change = Change(
        task_id=task.id,
        task_type=task.task_type,
        queue_name=task.queue,
        status=task.state,
        attempt=task.attempt,
        at=at,
        progress=_percent(task.state, task.progress),
        message=progress.message,
        step=progress.step,
        completed_steps=progress.done,
        total_steps=progress.total,
    )
    return frame("state", change, place)


def stats_frame(stats: Stats, queues: frozenset[str], types: frozenset[str], place: Place) -> bytes:
    """The queues as they stand, as the event `state`; empty sets do not restrict."""
    counts: dict[str, dict[str, int]] = {
        each.name: {} for each in stats.queues if not queues or each.name in queues
    }
    for each in stats.counts:
        if each.queue in counts and (not types or each.task_type in types):
            of_queue = counts[each.queue]
            of_queue[each.state] = of_queue.get(each.state, 0) + each.count
    standing = Standing(stats.at, tuple(QueueCounts(*each) for each in sorted(counts.items())))
    return frame("state", standing, place)


def reset_frame(reason: str) -> bytes:
    """Says that the stream goes on elsewhere than it was; the client's place stays as it is."""
    return frame("reset", Cut(reason), None)


def alive_frame(place: Place | None) -> bytes:
    """A comment that keeps the connection open, and moves the client's place on."""
    return COMMENT if place is None else b": still here\nid: %s\n\n" % str(place).encode()


def frame(event: str, data: msgspec.Struct, place: Place | None) -> bytes:
    """One event. Its data stand on one line: JSON has no line breaks of its own."""
    name = b"" if place is None else b"id: %s\n" % str(place).encode()
    return b"%sevent: %s\ndata: %s\n\n" % (name, event.encode(), msgspec.json.encode(data))


def _percent(state: State, progress: Progress | None) -> float | None:
    if state is State.COMPLETED:
        return 100.0
    return None if progress is None else min(100.0, progress.percent)
