"""Threads for ordinary functions. They end with the process, whatever runs on them."""

import asyncio
import contextvars
import ctypes
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Unwind(BaseException):
    """Leaves a function on a thread at its hard timeout; no `except Exception` sees it."""


class Call:
    """One function call on a thread."""

    def __init__(self, work: Callable[[], Any], arrive: Callable[["Call"], None]) -> None:
        self.work = work
        self.value: Any = None
        self.error: BaseException | None = None
        self._arrive = arrive
        self._guard = threading.Lock()
        self._thread: int | None = None

    def raise_inside(self, kind: type[BaseException]) -> None:
        """Raise an exception in the function, at its next Python instruction.

        Native code that runs or waits is not interrupted; the exception comes when it returns.
        """
        with self._guard:
            if self._thread is not None:
                _raise_in(self._thread, kind)

    def run(self) -> None:
        """Run the function, and keep what it gives."""
        try:
            try:
                with self._guard:
                    self._thread = threading.get_ident()
                self.value = self.work()
            except BaseException as error:  # noqa: BLE001  # handed to who waits for the call
                self.error = error
            self._leave()
        except BaseException as late:  # noqa: BLE001  # raised inside after the function's end
            self.error = self.error or late
            self._leave()
        self._arrive(self)

    def _leave(self) -> None:
        with self._guard:
            if self._thread is not None:
                _raise_in(self._thread, None)
                self._thread = None


class Threads:
    """Up to `size` threads, started when they are needed."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._started = 0
        self._busy = 0
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()

    async def run(self, work: Callable[[], T], started: Callable[[Call], None]) -> T:
        """Run a function on a thread, in a copy of the present context variables.

        `started` is given the call, to raise inside it. Cancelling the coroutine that waits here
        leaves the function running.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Call] = loop.create_future()
        context = contextvars.copy_context()
        call = Call(lambda: context.run(work), lambda call: _hand_over(loop, future, call))
        started(call)
        self._busy += 1
        if self._busy > self._started and self._started < self._size:
            self._started += 1
            name = f"tidemill-{self._name}-{self._started}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        self._calls.put(call)
        try:
            await future
        finally:
            self._busy -= 1
        if call.error is not None:
            raise call.error
        return call.value  # type: ignore[no-any-return]  # the value of `work`

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        for _ in range(self._started):
            self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call


def _hand_over(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Call]", call: Call) -> None:
    def arrive() -> None:
        if not future.done():
            future.set_result(call)

    try:
        loop.call_soon_threadsafe(arrive)
    except RuntimeError:
        return  # the loop is closed: nobody waits for this call any more


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    raised = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
