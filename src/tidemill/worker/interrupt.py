"""Raising a chosen exception inside a coroutine at the place where it waits."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

from tidemill.errors import SoftTimeout

_GROUP = asyncio.TaskGroup.__aexit__.__code__


class Interruptible:
    """Awaits a coroutine, and can raise `SoftTimeout` where it waits.

    asyncio can only cancel a task. Here the cancellation is turned into `SoftTimeout` on its way
    into the coroutine. A task group that waits for its tasks understands nothing but cancellation:
    it gets one, ends its tasks, and `SoftTimeout` is raised by the coroutine as a whole.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[Any] | None = None
        self._due = False

    def interrupt(self) -> None:
        """Raise `SoftTimeout` inside; only once, and only while it is awaited."""
        if self._task is not None and not self._due:
            self._due = True
            self._task.cancel()

    def __await__(self) -> Generator[Any, None, Any]:
        coroutine = self._coroutine
        self._task = asyncio.current_task()
        converted = False
        send: Any = None
        error: BaseException | None = None
        try:
            while True:
                waits_for = coroutine.send(send) if error is None else coroutine.throw(error)
                send = error = None
                try:
                    send = yield waits_for
                except asyncio.CancelledError as cancelled:
                    error = cancelled
                    if self._due and self._task is not None and not converted:
                        converted = True
                        self._task.uncancel()
                        if not _in_group(coroutine):
                            error = SoftTimeout()
                except BaseException as other:  # noqa: BLE001  # passed on to the coroutine
                    error = other
        except StopIteration as stop:
            return stop.value
        except asyncio.CancelledError as cancelled:
            if converted and self._task is not None and not self._task.cancelling():
                raise SoftTimeout from cancelled
            raise
        finally:
            self._task = None


def _in_group(coroutine: Any) -> bool:
    """Whether the coroutine waits at the end of a task group."""
    while coroutine is not None:
        if getattr(coroutine, "cr_code", None) is _GROUP:
            return True
        coroutine = getattr(coroutine, "cr_await", None)
    return False
