"""The blocking face: one event loop on a thread of its own, for ordinary code."""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from tidemill.errors import ConfigError

T = TypeVar("T")


class Portal:
    """Runs coroutines for callers without a loop. Its thread starts with the first call.

    A forked child has the memory of its parent but not its threads, so it starts its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and answer its value; refused on a running event loop.

        Interrupting the caller, as with Ctrl-C, cancels the coroutine.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            raise ConfigError(
                "a blocking call on a running event loop would stop it: await the async form "
                "instead (enqueue for delay, the handle itself for handle.blocking)"
            )
        loop = self._started()
        outcome: Future[T] = Future()
        try:
            loop.call_soon_threadsafe(_start, loop, work, outcome)
            return outcome.result()
        except BaseException:
            outcome.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                self._loop, self._process = asyncio.new_event_loop(), os.getpid()
                thread = threading.Thread(
                    target=self._loop.run_forever, name="tidemill-blocking", daemon=True
                )
                thread.start()
            return self._loop


def _start(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], outcome: Future[T]
) -> None:
    """Run the work for an outcome that its caller made first, so that no interrupt can lose it.

    `asyncio.run_coroutine_threadsafe` answers the future after the work has begun: an interrupt in
    between left the work running for good (10 of 300 tries on two cores).
    """
    running = loop.create_task(work)

    def abandon(_: Future[T]) -> None:
        if outcome.cancelled():
            loop.call_soon_threadsafe(running.cancel)

    def settle(_: asyncio.Task[T]) -> None:
        if running.cancelled():
            outcome.cancel()
            return
        error = running.exception()
        if not outcome.set_running_or_notify_cancel():
            return
        if error is None:
            outcome.set_result(running.result())
        else:
            outcome.set_exception(error)

    outcome.add_done_callback(abandon)
    running.add_done_callback(settle)
