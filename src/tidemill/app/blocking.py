"""The blocking face: one event loop on a thread of its own, for ordinary code."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from tidemill.errors import ConfigError

T = TypeVar("T")


class Portal:
    """Runs coroutines for callers without a loop. Its thread starts with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and answer its value; refused on a running event loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(work, self._started()).result()
        work.close()
        raise ConfigError(
            "a blocking call on a running event loop would stop it: await the async form instead "
            "(enqueue for delay, the handle itself for handle.blocking)"
        )

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=self._loop.run_forever, name="tidemill-blocking", daemon=True
                )
                thread.start()
            return self._loop

    def close(self) -> None:
        """Stop the loop; a later call starts a new one."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
