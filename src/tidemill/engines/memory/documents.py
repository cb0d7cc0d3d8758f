"""Queue definitions and documents in the books."""

from collections.abc import Sequence

from tidemill.clock import from_micros
from tidemill.engine import SCHEDULE, Document, Put, QueueDefinition
from tidemill.engines.memory.books import Books


def pause(books: Books, queue: str, *, paused: bool) -> None:
    """Stop or resume claims from a queue."""
    books.queue(queue).paused = paused


def configure(books: Books, queues: Sequence[QueueDefinition]) -> None:
    """Create queues or change their settings."""
    for definition in queues:
        books.queue(definition.name).define(definition)


def put(books: Books, change: Put) -> Document | None:
    """Write or remove one document unless its version is another."""
    place = (change.kind, change.key)
    present = books.documents.get(place)
    version = present.version if present else 0
    if change.if_version not in (None, version):
        return None
    at = from_micros(books.now())
    if change.body is None:
        books.documents.pop(place, None)
        if change.kind == SCHEDULE:
            books.timetables.pop(change.key, None)
        return Document(change.kind, change.key, 0, b"", at)
    written = Document(change.kind, change.key, version + 1, change.body, at)
    books.documents[place] = written
    return written


def listed(books: Books, kind: str, prefix: str) -> list[Document]:
    """All documents of a kind under a prefix, by key."""
    return [
        document
        for place, document in sorted(books.documents.items())
        if place[0] == kind and place[1].startswith(prefix)
    ]
