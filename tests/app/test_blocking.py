"""The blocking face: the same application from ordinary code, threads and forked children."""

import asyncio
import gc
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.app.conftest import Hand
from tidemill import (
    ConfigError,
    Handle,
    InvalidTransition,
    PayloadInvalid,
    ResultTimeout,
    State,
    Tidemill,
)
from tidemill.app.blocking import Portal


async def double(number: int) -> int:
    return number * 2


def test_ordinary_code_enqueues_and_waits(app: Tidemill, hand: Hand) -> None:
    async def work() -> None:
        await hand.complete(await hand.take(), 4)

    handle = app.task(double).delay(2)
    assert (handle.state(), handle.progress(), handle.duplicate) == (State.PENDING, None, False)
    with pytest.raises(ResultTimeout):
        handle.result(timeout=0.01)
    app.run_blocking(work())
    assert handle.result() == 4
    assert handle.get().id == handle.id


def test_ordinary_code_operates(app: Tidemill) -> None:
    handle = app.task(double).delay(2)
    assert handle.cancel("no") is State.CANCELLED
    handle.retry()
    assert handle.state() is State.PENDING
    with pytest.raises(InvalidTransition):
        handle.retry()


def test_errors_arrive_as_they_are(app: Tidemill) -> None:
    with pytest.raises(PayloadInvalid):
        app.task(double).delay("2")  # type: ignore[arg-type]  # what is refused


def test_many_threads_share_one_application(app: Tidemill, hand: Hand) -> None:
    sending = app.task(double)
    with ThreadPoolExecutor(8) as threads:
        ids = {handle.id for handle in threads.map(sending.delay, range(200))}
    assert len(ids) == 200
    assert {claim.ref.task_id for claim in app.run_blocking(hand.claim(limit=500))} == ids


async def test_on_a_running_loop_it_is_refused_and_says_what_to_do(app: Tidemill) -> None:
    sending = app.task(double)
    handle: Handle[int] = await sending.enqueue(2)
    for call in (lambda: sending.delay(2), handle.blocking.get, handle.blocking.result):
        with pytest.raises(ConfigError, match="await the async form instead"):
            call()


async def test_a_thread_of_async_code_may_block(app: Tidemill) -> None:
    handle = await asyncio.to_thread(app.task(double).delay, 2)
    assert await app.handle(handle.id).state() is State.PENDING


@contextmanager
def interrupts_once() -> Iterator[threading.Event]:
    """The first SIGINT interrupts and sets the event; what follows it does nothing."""
    interrupted = threading.Event()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupting_the_caller_ends_the_wait(app: Tidemill) -> None:
    handle = app.task(double).delay(2)
    waiter = threading.get_ident()

    async def listens() -> bool:
        return bool((await app.watch())._listeners)

    def interrupt() -> None:
        while not app.run_blocking(listens()):
            pass
        # A signal on the last steps into a lock does not wake who waits there: it is sent again.
        while not interrupted.wait(0.05):
            signal.pthread_kill(waiter, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    with interrupts_once() as interrupted:
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            handle.result()
        interrupter.join()
    while app.run_blocking(listens()):
        pass


def test_an_interrupt_at_any_line_of_the_call_leaves_no_work_behind() -> None:
    portal = Portal()

    async def forever() -> None:
        await asyncio.Event().wait()

    async def running() -> int:
        return len(asyncio.all_tasks()) - 1

    def interrupted_at(line: int) -> bool:
        """Whether the call was interrupted there: it has no such line once it waits."""
        passed = 0

        def count(frame: FrameType, event: str, _: object) -> Any:
            nonlocal passed
            if frame.f_code is Portal._started.__code__:
                return None  # no signal arrives within the entry of a lock, a trace would
            if frame.f_code is Future.result.__code__:
                raise KeyboardInterrupt
            if event == "line":
                passed += 1
                if passed == line:
                    raise KeyboardInterrupt
            return count

        work = forever()
        before, outer = portal.run(running()), sys.gettrace()
        gc.disable()  # a finalizer that it ran inside the call would be traced, and interrupted
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - to trace nothing but the call
            sys.settrace(count)
            portal.run(work)
        sys.settrace(outer)
        gc.enable()
        while portal.run(running()) != before:
            pass
        work.close()
        return passed == line

    def lines() -> int:
        line = 1
        while interrupted_at(line):
            line += 1
        return line

    # On a thread of its own: CPython 3.11 leaves a thread in which a trace raised inside an except
    # clause "handling" that exception for good, and every later test of the process with it.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(lines).result() > 10


def test_a_forked_child_blocks_on_a_thread_of_its_own(
    make_app: Callable[..., Tidemill], tmp_path: Path
) -> None:
    sending = make_app().task(double)
    sending.delay(1)
    answer = tmp_path / "answer"

    def child() -> None:
        answer.write_text(str(sending.delay(2).state()))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert answer.read_text() == "pending"
