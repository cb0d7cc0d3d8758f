"""One reader of the engine's feed for everybody on an event loop who waits for a task."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import Enum

from tidemill.engine import Engine, Transition

PAGE = 500
PATIENCE = timedelta(seconds=5)
"""How long one look at the feed waits before those who listen are told to look for themselves."""


class Look(Enum):
    """Why a listener should read its task's record: nothing was told for a while, or some is lost.

    `MISSED` comes after what was not lost.
    """

    QUIET = "quiet"
    MISSED = "missed"


News = Transition | Look


class Watch:
    """Reads the feed while anybody listens, and hands each transition to the task's listeners.

    A thousand waiting handles cost one reader, not a thousand.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: dict[str, list[asyncio.Queue[News | Exception]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[None] | None = None

    @asynccontextmanager
    async def task(self, task_id: str) -> AsyncIterator[Callable[[], Awaitable[News]]]:
        """Listen to one task; gives a function that waits for the next news of it.

        Whatever happens after this was entered is told; what the engine raises, the function
        raises.
        """
        queue: asyncio.Queue[News | Exception] = asyncio.Queue()
        self._listeners.setdefault(task_id, []).append(queue)
        try:
            await asyncio.shield(self._beginning())
            yield lambda: _next(queue)
        finally:
            self._leave(task_id, queue)

    def _beginning(self) -> asyncio.Future[None]:
        if self._reader is None or self._reader.done() or self._begun is None:
            self._begun = asyncio.get_running_loop().create_future()
            self._reader = asyncio.create_task(self._read(self._begun))
        return self._begun

    def _leave(self, task_id: str, queue: asyncio.Queue[News | Exception]) -> None:
        self._listeners[task_id].remove(queue)
        if not self._listeners[task_id]:
            del self._listeners[task_id]
        if not self._listeners and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read(self, begun: asyncio.Future[None]) -> None:
        try:
            cursor = (await self._engine.feed(None, 1, timedelta(0))).cursor
            begun.set_result(None)
            while True:
                page = await self._engine.feed(cursor, PAGE, PATIENCE)
                cursor = page.cursor
                for entry in page.entries:
                    for queue in self._listeners.get(entry.task_id, ()):
                        queue.put_nowait(entry)
                if page.cut or not page.entries:
                    self._tell_all(Look.MISSED if page.cut else Look.QUIET)
        except Exception as error:  # noqa: BLE001  # raised again where the listeners wait
            self._tell_all(error)
        finally:
            if not begun.done():
                begun.set_result(None)

    def _tell_all(self, news: News | Exception) -> None:
        for queues in self._listeners.values():
            for queue in queues:
                queue.put_nowait(news)


async def _next(queue: asyncio.Queue[News | Exception]) -> News:
    news = await queue.get()
    if isinstance(news, Exception):
        raise news
    return news
