"""The schedules that a scheduler knows, and whose turn is next."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tidemill.engine import Document
from tidemill.schedule import Schedule


@dataclass(slots=True)
class Entry:
    """A schedule that is known; `next_at` is its next instant, None when none comes.

    `sure`: nobody else is known to have moved its mark since that was read.
    """

    document: Document
    schedule: Schedule
    mark: datetime | None
    next_at: datetime | None
    sure: bool = True


class Agenda:
    """Entries by the names of their schedules, and by their next instants."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._broken: dict[str, Document] = {}
        self._line: list[tuple[datetime, str]] = []

    @property
    def next_at(self) -> datetime | None:
        """The earliest next instant."""
        while self._line and not self._stands(*self._line[0]):
            heapq.heappop(self._line)
        return self._line[0][0] if self._line else None

    def news(self, documents: Iterable[Document]) -> list[Document]:
        """Those of all present documents that are new or changed; entries without one go.

        A document that was removed and made again has its first version again, so that bodies are
        compared too.
        """
        present = {document.key: document for document in documents}
        for name in self._entries.keys() - present.keys():
            self.forget(name)
        for name in self._broken.keys() - present.keys():
            del self._broken[name]
        return [document for document in present.values() if document != self._known(document.key)]

    def add(self, entry: Entry) -> None:
        """Know a schedule from now on, in place of what was known under its name."""
        self.forget(entry.document.key)
        self._entries[entry.document.key] = entry
        self.move(entry, entry.next_at)

    def set_aside(self, document: Document) -> None:
        """A definition that cannot be used, until it changes."""
        self.forget(document.key)
        self._broken[document.key] = document

    def forget(self, name: str) -> None:
        """Know nothing under this name."""
        self._entries.pop(name, None)
        self._broken.pop(name, None)

    def move(self, entry: Entry, next_at: datetime | None) -> None:
        """Put an entry in line for its next instant."""
        entry.next_at = next_at
        if next_at is not None and self._entries.get(entry.document.key) is entry:
            heapq.heappush(self._line, (next_at, entry.document.key))

    def due(self, now: datetime) -> list[Entry]:
        """Take the entries out of line whose instant has come; `move` puts them back."""
        taken: dict[str, Entry] = {}
        while (at := self.next_at) is not None and at <= now:
            _, name = heapq.heappop(self._line)
            taken[name] = self._entries[name]
        return list(taken.values())

    def _known(self, name: str) -> Document | None:
        entry = self._entries.get(name)
        return entry.document if entry else self._broken.get(name)

    def _stands(self, at: datetime, name: str) -> bool:
        entry = self._entries.get(name)
        return entry is not None and entry.next_at == at
