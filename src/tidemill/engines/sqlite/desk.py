"""What the sessions of one process share of one file: a writer, a reader and a bell."""

import os
import threading
from pathlib import Path

from tidemill.clock import Clock
from tidemill.engines.sqlite.connection import Durability, refuse_unusable
from tidemill.engines.sqlite.reader import Reader
from tidemill.engines.sqlite.wake import Bell
from tidemill.engines.sqlite.writer import Writer


class Desk:
    """One process's hold of the file: opened when it is first used."""

    def __init__(self, path: Path, durability: Durability, clock: Clock) -> None:
        self.bell = Bell(path)
        self.writer = Writer(path, durability, clock, self.bell)
        self.reader = Reader(path, durability)

    def abandon(self) -> None:
        """Finish what is queued and let go of the file, some time soon."""
        self.writer.put(None)
        self.reader.put(None)

    def stop(self) -> None:
        """Finish what is queued and let go of the file."""
        self.abandon()
        self.writer.join()
        self.reader.join()
        self.bell.close()


class Share:
    """The sessions that use a file from this process, and their desk.

    A forked child gets a desk of its own. Its parent's is kept, untouched: letting it go would
    close the parent's connections from the wrong process.
    """

    def __init__(self, path: Path, durability: Durability, clock: Clock) -> None:
        self.path = path
        self.durability = durability
        self.clock = clock
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._desk: Desk | None = None
        self._inherited: list[Desk] = []
        self._sessions = 0

    def join(self) -> None:
        """One more session."""
        with self._lock:
            self._sessions += 1

    def leave(self) -> Desk | None:
        """One session fewer; answers the desk to stop when it was the last."""
        with self._lock:
            self._sessions -= 1
            if self._sessions or os.getpid() != self._pid:
                return None
            desk, self._desk = self._desk, None
            return desk

    def desk(self) -> Desk:
        """The desk of this process."""
        if self._desk is not None and os.getpid() == self._pid:
            return self._desk
        if os.getpid() != self._pid:
            self._after_fork()
        with self._lock:
            if self._desk is None:
                refuse_unusable(self.path)
                self._desk = Desk(self.path, self.durability, self.clock)
            return self._desk

    def _after_fork(self) -> None:
        self._lock = threading.Lock()  # a thread of the parent may have held it
        self._pid = os.getpid()
        if self._desk is not None:
            self._inherited.append(self._desk)
            self._desk = None
