"""One worker process as a whole: the worker and the sweeper, from their start to the exit code."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

import uvloop

from tidemill.app import Tidemill
from tidemill.errors import TidemillError
from tidemill.settings import WorkerSettings
from tidemill.sweeper import Sweeper
from tidemill.worker.loading import import_app
from tidemill.worker.runtime import Worker

RECYCLE = 75
"""The exit code of a process that asks for a fresh one in its place (`EX_TEMPFAIL`)."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(app: Tidemill, settings: WorkerSettings | None = None) -> Worker:
    """Run a worker and a sweeper until drained; the first signal drains, the second cuts short."""
    worker = Worker(app, settings)
    loop = asyncio.get_running_loop()
    for each in SIGNALS:
        loop.add_signal_handler(each, _stop, worker, each.name)
    sweeper = Sweeper(app, lease=(settings or app.settings.worker).lease)
    sweeping = asyncio.ensure_future(sweeper.run())
    working = asyncio.ensure_future(worker.run())
    try:
        await asyncio.wait({sweeping, working}, return_when=asyncio.FIRST_COMPLETED)
        if sweeping.done():
            worker.drain("the sweeper failed", grace=timedelta(0))
        await working
        if sweeping.done():
            await sweeping
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await app.close()
    return worker


def _stop(worker: Worker, name: str) -> None:
    if worker.draining:
        worker.drain(f"{name} again", grace=timedelta(0))
    else:
        worker.drain(name)


def run_process(app_path: str, settings: WorkerSettings | None = None) -> int:
    """Import an application and run one worker process of it; answers its exit code.

    0 drained in order, `RECYCLE` drained to be replaced, else that of the error, which is told in
    one line on standard error.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            worker = runner.run(serve(import_app(app_path), settings))
            code = RECYCLE if worker.recycle else 0
            if worker.running:
                _leave(code)
    except TidemillError as error:
        print(f"tidemill: {error}", file=sys.stderr)  # noqa: T201  # a program's last words
        return error.exit_code
    return code


def _leave(code: int) -> None:
    """Exit although a function still runs: nothing ends a thread or a deaf coroutine but this."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
