"""The way to the engine: one store for the process, one session of it for each event loop."""

import asyncio
import os
import threading
from typing import NamedTuple

from tidemill.app.watch import Watch
from tidemill.engine import Engine
from tidemill.engines import open_engine
from tidemill.sealing import Keyring
from tidemill.settings import Settings


class Session(NamedTuple):
    """The engine for one event loop, and the one reader of its feed there."""

    engine: Engine
    watch: Watch


class Sessions:
    """Opens lazily, in the process and on the loop that uses the engine.

    A forked child finds its parent's sessions here and forgets them: a connection must not be
    shared by two processes. An opening that fails is forgotten too, so that the next call tries
    again. With encryption keys, each session is sealed: whoever uses the application's engine reads
    and writes as if there were none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._given: Engine | None = None
        self._opened: Engine | None = None
        self._keys: Keyring | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, asyncio.Task[Session]] = {}

    async def here(self) -> Session:
        """The session of the running event loop, opened and migrated."""
        loop = asyncio.get_running_loop()
        opening = self._by_loop.get(loop) if self._process == os.getpid() else None
        if opening is None:
            opening = self._begin(loop)
        return opening.result() if opening.done() else await asyncio.shield(opening)

    def use(self, engine: Engine | None) -> None:
        """Open sessions of this engine from now on, or of the URL's again."""
        with self._lock:
            self._given = engine
            self._by_loop = {}

    async def close(self) -> None:
        """Close the session of the running event loop, and with the last one the engine."""
        opening = self._by_loop.pop(asyncio.get_running_loop(), None)
        if opening is not None and self._process == os.getpid():
            await (await opening).engine.close()
        if not self._by_loop:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened.close()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Session]:
        with self._lock:
            if self._process != os.getpid():
                # A keyring too: no two processes encrypt with one subkey.
                self._process, self._opened, self._keys = os.getpid(), None, None
                self._by_loop = {}
            for other in [each for each in self._by_loop if each.is_closed()]:
                del self._by_loop[other]
            opening = loop.create_task(self._open())
            self._by_loop[loop] = opening
        opening.add_done_callback(self._forget_failed)
        return opening

    async def _open(self) -> Session:
        engine = self._sealed(self._base()).session()
        try:
            await engine.migrate()
        except BaseException:
            await engine.close()
            raise
        return Session(engine, Watch(engine))

    def _base(self) -> Engine:
        with self._lock:
            if self._given is not None:
                return self._given
            if self._opened is None:
                self._opened = open_engine(self._settings.url)
            return self._opened

    def _sealed(self, engine: Engine) -> Engine:
        told = self._settings
        if told.encryption_key is None and not told.former_encryption_keys:
            return engine
        from tidemill.engines.sealed import Sealed  # noqa: PLC0415  # who has no keys needs it not

        with self._lock:
            if self._keys is None:
                self._keys = Keyring.of(told.encryption_key, told.former_encryption_keys)
            return engine if self._keys is None else Sealed(engine, self._keys)

    def _forget_failed(self, opening: asyncio.Task[Session]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            return
        with self._lock:
            for loop in [each for each, known in self._by_loop.items() if known is opening]:
                del self._by_loop[loop]
