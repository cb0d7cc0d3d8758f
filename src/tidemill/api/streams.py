"""The feed for any number of listeners: one reader for each event loop hands it to all of them.

A listener has a bounded line. One that does not read it empty in time is told `reset` and ended; it
comes back with the place of the last event that it has seen, and misses nothing.

Whoever comes back, or wants a task's state first, reads the feed from its own place until its end
while the reader's entries already wait in its line; what it has seen by then it leaves out there.
"""

import asyncio
import logging
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from datetime import timedelta
from typing import Final
from weakref import WeakKeyDictionary

from tidemill.access import EVERYONE, Tenant
from tidemill.api.frames import (
    RETRY,
    Place,
    Told,
    alive_frame,
    change_frame,
    reset_frame,
    told,
    unseen,
)
from tidemill.api.owners import Owners
from tidemill.app import Tidemill
from tidemill.backoff import exponential
from tidemill.engine import Engine, FeedPage, Transition
from tidemill.errors import EngineError

PAGE: Final = 500
PATIENCE: Final = timedelta(seconds=5)
HEARTBEAT: Final = 15.0
"""Seconds between two comments on a connection."""

MOST_WAITING: Final = 1_000
"""Events in the line of one listener, before it is taken for too slow."""

_BACKOFF = exponential(0.1, cap=5, jitter=True)
_NOW = timedelta(0)


class Item:
    """One entry of the feed for all listeners: encoded once, when the first one writes it.

    Without an entry it is a comment.
    """

    __slots__ = ("_frame", "_told", "entry")

    def __init__(self, told: Told | None, frame: bytes | None = None) -> None:
        self.entry = told and told.entry
        self._told = told
        self._frame = frame

    @property
    def frame(self) -> bytes:
        """Its bytes."""
        if self._frame is None:
            self._frame = change_frame(self._told) if self._told else b""
        return self._frame

    def told_before(self, seen: Collection[Transition]) -> bool:
        """Whether it is one of those."""
        return self.entry is not None and self.entry in seen


Written = tuple[list[bytes], bool]
"""Frames to write, and whether the stream ends with them."""


class Listener:
    """One subscriber's line, and what it wants of the feed: one task, or what `wants` says.

    Of all tasks it is told of those that its tenant owns.
    """

    __slots__ = (
        "_line",
        "_news",
        "cut",
        "ended",
        "laps",
        "seen",
        "slow",
        "task_id",
        "tenant",
        "wants",
    )

    def __init__(
        self,
        wants: Callable[[Transition], bool],
        task_id: str | None = None,
        tenant: Tenant = EVERYONE,
    ) -> None:
        self.wants = wants
        self.task_id = task_id
        self.tenant = tenant
        self.seen: set[Transition] | None = None
        self.laps = 0
        self.cut = self.slow = self.ended = False
        self._line: deque[Item] = deque()
        self._news: asyncio.Future[None] | None = None

    def put(self, item: Item) -> None:
        """Take an event into the line, unless it is too long already."""
        if self.slow:
            return
        if len(self._line) >= MOST_WAITING:
            self.slow = True
        else:
            self._line.append(item)
        self.wake()

    def clear(self) -> None:
        """Forget what waits in the line."""
        self._line.clear()

    def wake(self) -> None:
        """Let it look at its line and at what has changed about itself."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def take(self) -> list[Item]:
        """All that waits, once there is something; nothing when there is more to know than that."""
        while not (self._line or self.cut or self.slow or self.ended):
            self._news = asyncio.get_running_loop().create_future()
            try:
                await self._news
            finally:
                self._news = None
        taken = list(self._line)
        self._line.clear()
        return taken

    def caught_up(self, seen: set[Transition]) -> None:
        """From now on it lives by its line, but for what it has seen."""
        self.seen, self.laps = seen or None, 0


class Fanout:
    """Reads the feed while anybody listens, and hands each entry to the listeners that want it."""

    def __init__(self, app: Tidemill, heartbeat: float) -> None:
        self._app = app
        self._heartbeat = heartbeat
        self._of_task: dict[str, set[Listener]] = {}
        self._of_all: set[Listener] = set()
        self._listeners: set[Listener] = set()
        self.owners = Owners(app)
        self._running: tuple[asyncio.Task[None], ...] = ()
        self._begun: asyncio.Future[None] | None = None
        self.cursor = ""

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[Listener]:
        """Hand entries to a listener; `begun` says from when on."""
        group = self._group(listener)
        group.add(listener)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            group.discard(listener)
            self._listeners.discard(listener)
            if listener.task_id is not None and not group:
                self._of_task.pop(listener.task_id, None)
            if not self._listeners:
                self._stop()

    async def begun(self) -> None:
        """Return when the reader stands at a place of the feed: what comes after it is told."""
        if self._begun is None:
            self._begun = asyncio.get_running_loop().create_future()
            reader = asyncio.create_task(self._read())
            reader.add_done_callback(self._failed)
            self._running = (reader, asyncio.create_task(self._comment()))
        await asyncio.shield(self._begun)

    def end(self) -> None:
        """End every stream: the server stops."""
        for listener in self._listeners:
            listener.ended = True
            listener.wake()

    def _group(self, listener: Listener) -> set[Listener]:
        if listener.task_id is None:
            return self._of_all
        return self._of_task.setdefault(listener.task_id, set())

    def _stop(self) -> None:
        for each in self._running:
            each.cancel()
        self._running, self._begun = (), None

    def _failed(self, reader: asyncio.Task[None]) -> None:
        """End every stream when their reader has failed: clients come back, and it begins anew."""
        if not reader.cancelled() and (error := reader.exception()) is not None:
            logging.getLogger("tidemill").error("reading the feed failed", exc_info=error)
            self._stands_at(self.cursor)
            self.end()

    async def _read(self) -> None:
        failures = 0
        cursor: str | None = None
        while True:
            try:
                engine = await self._app.engine()
                if cursor is None:
                    cursor = (await engine.feed(None, 1, _NOW)).cursor
                    self._stands_at(cursor)
                page = await engine.feed(cursor, PAGE, PATIENCE)
            except EngineError:
                failures += 1
                await asyncio.sleep(_BACKOFF.delay(failures).total_seconds())
                continue
            failures = 0
            if page.cut:
                self._lost()
            for each in told(cursor, page):
                self._hand_on(each.entry, Item(each))
            cursor = page.cursor
            self._stands_at(cursor)
            if len(page.entries) < PAGE:
                self._lap()

    def _stands_at(self, cursor: str) -> None:
        self.cursor = cursor
        if self._begun is not None and not self._begun.done():
            self._begun.set_result(None)

    def _hand_on(self, entry: Transition, item: Item) -> None:
        for listener in self._of_task.get(entry.task_id, ()):
            listener.put(item)
        for listener in self._of_all:
            if listener.wants(entry):
                listener.put(item)

    def _lost(self) -> None:
        for listener in self._listeners:
            listener.cut = True
            listener.wake()

    def _lap(self) -> None:
        """The reader was at the feed's end: after twice that, what was seen before comes no more.

        Once is not enough: the page may have been asked for before the listener had seen the rest.
        """
        for listener in self._listeners:
            if listener.seen is not None:
                listener.laps += 1
                if listener.laps > 1:
                    listener.seen = None

    async def _comment(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            place = Item(None, alive_frame(Place(self.cursor)))
            plain = Item(None, alive_frame(None))
            for listener in self._listeners:
                listener.put(plain if listener.seen is not None else place)


Look = Callable[[Engine], Awaitable[tuple[object, Callable[[Place], bytes], bool]]]
"""Reads the state of things: what it is compared by, it as an event at a place, is it final."""


class Stream:
    """The events of one connection, in order, from a place on; from the present without one.

    Those of a task begin with its state unless a place is given, and end when it is final.
    """

    def __init__(self, app: Tidemill, fanout: Fanout, listener: Listener, look: Look) -> None:
        self._app = app
        self._fanout = fanout
        self._listener = listener
        self._look = look
        self._seen: deque[Transition] = deque(maxlen=2 * PAGE)

    async def frames(self, place: Place | None) -> AsyncGenerator[bytes, None]:
        """What is written, in pieces. Whatever happens after the first one is told."""
        with self._fanout.listening(self._listener):
            await self._fanout.begun()
            yield RETRY
            engine = await self._app.engine()
            stages = [self._past(engine, place), self._live()]
            if place is None and self._listener.task_id is not None:
                stages = [self._standing(engine), self._live()]
            while True:
                for stage in stages:
                    async for items, final in stage:
                        if items:
                            yield b"".join(items)
                        if final:
                            return
                yield reset_frame("lost")
                stages = [self._standing(engine), self._live()]

    async def _standing(self, engine: Engine) -> AsyncIterator[Written]:
        """The state, and what comes after it until the end of the feed.

        It is read twice, around the end of the feed, until both are the same: then it is the state
        at that end, and nothing that it tells already is told again.
        """
        place = Place(self._fanout.cursor)
        self._listener.clear()
        self._seen.clear()
        while True:
            before, _, _ = await self._look(engine)
            while (page := await page_at(engine, place.cursor)).entries:
                self._seen.extend(page.entries)
                place = Place(page.cursor)
            after, frame, final = await self._look(engine)
            if before == after:
                break
        yield [frame(place)], final
        if not final:
            async for written in self._past(engine, place):
                yield written

    async def _past(self, engine: Engine, place: Place | None) -> AsyncIterator[Written]:
        """What the feed has after a place, up to its end; nothing without a place."""
        while place is not None:
            page = await page_at(engine, place.cursor)
            if page.cut:
                self._listener.cut = True
                return
            if not page.entries:
                break
            self._seen.extend(page.entries)
            yield await self._wanted([Item(each) for each in unseen(place, page)])
            place = Place(page.cursor)
        self._listener.caught_up(set(self._seen))
        self._seen.clear()

    async def _live(self) -> AsyncIterator[Written]:
        """What comes through the line, until entries are lost."""
        listener = self._listener
        while not listener.cut:
            items = await listener.take()
            if listener.seen:
                items = [each for each in items if not each.told_before(listener.seen)]
            frames, final = await self._wanted(items)
            if listener.slow:
                frames, final = [*frames, reset_frame("slow")], True
            yield frames, final or listener.ended
        listener.cut = False

    async def _wanted(self, items: Sequence[Item]) -> Written:
        """The frames of the wanted items, up to the one that nothing can follow."""
        frames: list[bytes] = []
        for each in await self._owned(items):
            entry = each.entry
            if entry is None or self._listener.wants(entry):
                frames.append(each.frame)
                if entry and self._listener.task_id is not None and entry.state.final:
                    return frames, True
        return frames, False

    async def _owned(self, items: Sequence[Item]) -> Sequence[Item]:
        """Those that tell of nobody else's tasks."""
        tenant = self._listener.tenant
        if tenant.everything:
            return items
        ids = {
            each.entry.task_id for each in items if each.entry and self._listener.wants(each.entry)
        }
        owned = await self._fanout.owners.owned(tenant, ids)
        return [each for each in items if each.entry is None or each.entry.task_id in owned]


async def page_at(engine: Engine, cursor: str) -> FeedPage:
    """A page of the feed after a cursor; a cursor that the engine cannot read is long gone."""
    try:
        return await engine.feed(cursor, PAGE, _NOW)
    except (ValueError, OverflowError):
        return FeedPage((), "", cut=True)


async def nothing_left(engine: Engine, place: Place, listener: Listener) -> bool:
    """Whether the feed has nothing more for a listener after a place."""
    while True:
        page = await page_at(engine, place.cursor)
        if page.cut or any(listener.wants(each.entry) for each in unseen(place, page)):
            return False
        if not page.entries:
            return True
        place = Place(page.cursor)


class Streams:
    """The fanouts of an application, one for each event loop that serves it."""

    def __init__(self, app: Tidemill, *, heartbeat: float = HEARTBEAT) -> None:
        self.app = app
        self._heartbeat = heartbeat
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Fanout] = WeakKeyDictionary()

    def here(self) -> Fanout:
        """That of the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = self._by_loop[loop] = Fanout(self.app, self._heartbeat)
        return found

    def end(self) -> None:
        """End all streams of the running event loop, so that its server can stop."""
        self.here().end()
