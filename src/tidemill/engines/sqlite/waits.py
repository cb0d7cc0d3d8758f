"""Who waits for whom, as one step sees and changes it (rules 4.7 and 19).

A pair in `tidemill_await` for each task that is waited for, and a row in `tidemill_wait` for each
that waits, with the number of its pairs: an end costs the same beside one and beside 10,000.
"""

from collections.abc import Collection, Mapping

import apsw
import msgspec

from tidemill.engines.sqlite.rows import CANCELLED, COMPLETED, FAILED, key_or_none
from tidemill.engines.sqlite.statements import run, statement
from tidemill.task import After

_broken = (FAILED, CANCELLED)


class Wait(msgspec.Struct, array_like=True):
    """What a task waits for, and what is to become of it then: a row of `tidemill_wait`.

    `broken_by` is the key of the upstream task that broke it, `broken_as` the state that it ended
    in. A task that waits for children has no `on_failure`.
    """

    key: str
    awaiting: int
    broken_by: str | None = None
    broken_as: int | None = None
    on_failure: str | None = None
    joins: int = 0


_pairs = msgspec.json.Decoder(list[tuple[str, str]]).decode
_waits = msgspec.json.Decoder(list[Wait]).decode


def asked(key: str, after: After, states: Mapping[str, int]) -> tuple[Wait, set[str]]:
    """What a task with `after` waits for, given the states of the tasks that are there."""
    named = (key_or_none(name) for name in after.tasks)
    there = [each for each in named if each is not None and each in states and each != key]
    live = {each for each in there if states[each] < COMPLETED}
    broke = next((each for each in there if states[each] in _broken), None)
    broken_as = None if broke is None else states[broke]
    return Wait(key, len(live), broke, broken_as, after.on_failure, int(after.joins)), live


class Waits:
    """What waits, as far as a step has met it. What it changes is written all at once."""

    def __init__(self, on: apsw.Connection) -> None:
        self._on = on
        self.met: list[str] = []
        self.flagged: set[str] = set()
        self._waits: dict[str, Wait] = {}
        self._waiting: dict[str, list[str]] = {}  # for each awaited task those that wait for it
        self._changed: dict[str, Wait] = {}
        self._added: list[tuple[bytes, bytes]] = []
        self._ended: list[tuple[bytes]] = []
        self._over: list[tuple[bytes]] = []
        self._unflagged: set[str] = set()

    @property
    def unflagged(self) -> bool:
        """Whether there are tasks in the file that do not know yet that they are awaited."""
        return bool(self._unflagged)

    def add(self, wait: Wait, live: Collection[str]) -> None:
        """Let a task wait for those that are live."""
        waiting = bytes.fromhex(wait.key)
        self._waits[wait.key] = self._changed[wait.key] = wait
        self._added += [(bytes.fromhex(key), waiting) for key in sorted(live)]
        self._unflagged.update(key for key in live if key not in self.flagged)
        for key in live:
            self._waiting.pop(key, None)

    def end(self, key: str, state: int) -> list[Wait]:
        """An awaited task has ended: the waits that end with it, by key of those that wait."""
        if key not in self._waiting:
            self._read({key, *self.met})
            self.met.clear()
        over = []
        for name in sorted(self._waiting.pop(key)):
            wait = self._waits.get(name)
            if wait is None:  # it ended itself
                continue
            wait.awaiting -= 1
            if wait.broken_by is None and state in _broken:
                wait.broken_by, wait.broken_as = key, state
            if wait.awaiting:
                self._changed[name] = wait
                continue
            del self._waits[name]
            self._changed.pop(name, None)
            self._over.append((bytes.fromhex(name),))
            over.append(wait)
        self._ended.append((bytes.fromhex(key),))
        return over

    def drop(self, key: str) -> None:
        """A task that waited has ended itself: it waits for nothing any more."""
        self.write()
        raw = (bytes.fromhex(key),)
        self._waits.pop(key, None)
        self._on.execute(statement("await_drop"), raw)
        self._on.execute(statement("wait_drop"), raw)

    def _read(self, keys: Collection[str]) -> None:
        if self._added:
            self.write()
        unread = [key for key in keys if key not in self._waiting]
        self._waiting |= {key: [] for key in unread}
        for text in run(self._on, "waiting", [(bytes.fromhex(key),) for key in unread]):
            for awaited, waiting in _pairs(text):
                self._waiting[awaited].append(waiting)
        unknown = {waiting for key in unread for waiting in self._waiting[key]} - self._waits.keys()
        for text in run(self._on, "waits", [(bytes.fromhex(key),) for key in unknown]):
            self._waits |= {wait.key: wait for wait in _waits(text)}

    def flag(self) -> None:
        """Let the awaited tasks know, all of which are in the file by now."""
        if self._unflagged:
            run(self._on, "awaited", [(bytes.fromhex(key),) for key in sorted(self._unflagged)])
            self.flagged |= self._unflagged
            self._unflagged.clear()

    def write(self) -> None:
        """Write what changed."""
        if not (self._ended or self._added or self._changed):
            return
        run(self._on, "await_end", self._ended)
        run(self._on, "wait_over", self._over)
        run(self._on, "await_add", self._added)
        rows = [
            (
                bytes.fromhex(wait.key),
                wait.awaiting,
                None if wait.broken_by is None else bytes.fromhex(wait.broken_by),
                wait.broken_as,
                wait.on_failure,
                wait.joins,
            )
            for wait in self._changed.values()
        ]
        run(self._on, "wait_save", rows)
        for written in (self._ended, self._over, self._added, self._changed):
            written.clear()

    def forget(self) -> None:
        """Remember nothing of what was read."""
        self.met.clear()
        self.flagged.clear()
        self._waits.clear()
        self._waiting.clear()
