"""What the sessions of one process share of one file: a writer, a reader and a bell."""

import os
import threading
from pathlib import Path

from tidemill.clock import Clock
from tidemill.engines.sqlite.connection import Durability, refuse_unusable
from tidemill.engines.sqlite.reader import Reader
from tidemill.engines.sqlite.wake import Bell
from tidemill.engines.sqlite.writer import Writer


class Store:
    """One process's hold of the file: opened when it is first used."""

    def __init__(self, path: Path, durability: Durability, clock: Clock) -> None:
        self.bell = Bell(path)
        self.writer = Writer(path, durability, clock, self.bell)
        self.reader = Reader(path, durability)
        self.opened = False

    def stop(self) -> None:
        """Finish what is queued and let go of the file."""
        self.writer.stop()
        self.reader.stop()
        self.bell.close()


class Share:
    """The sessions that use a file from this process, and their store.

    A forked child gets a store of its own. Its parent's is kept, untouched: letting it go would
    close the parent's connections from the wrong process.
    """

    def __init__(self, path: Path, durability: Durability, clock: Clock) -> None:
        self.path = path
        self.durability = durability
        self.clock = clock
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._store: Store | None = None
        self._inherited: list[Store] = []
        self._sessions = 0

    def join(self) -> None:
        """One more session."""
        with self._lock:
            self._sessions += 1

    def leave(self) -> Store | None:
        """One session fewer; answers the store to stop when it was the last."""
        with self._lock:
            self._sessions -= 1
            if self._sessions or os.getpid() != self._pid:
                return None
            store, self._store = self._store, None
            return store

    def store(self) -> Store:
        """The store of this process."""
        if self._store is not None and os.getpid() == self._pid:
            return self._store
        if os.getpid() != self._pid:
            self._after_fork()
        with self._lock:
            if self._store is None:
                refuse_unusable(self.path)
                self._store = Store(self.path, self.durability, self.clock)
            return self._store

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent may have held it
        self._pid = os.getpid()
        if self._store is not None:
            self._inherited.append(self._store)
            self._store = None
