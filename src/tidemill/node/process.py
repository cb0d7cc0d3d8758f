"""One process of Tidemill as a program: a node, signals, and the exit code."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

import uvloop

from tidemill.app import Tidemill
from tidemill.errors import TidemillError
from tidemill.node.node import Node
from tidemill.settings import WorkerSettings
from tidemill.worker.loading import import_app

RECYCLE = 75
"""The exit code of a process that asks for a fresh one in its place (`EX_TEMPFAIL`)."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(
    app: Tidemill, settings: WorkerSettings | None = None, *, tasks: bool = True
) -> Node:
    """Run a node until drained; the first signal drains, the second cuts short.

    With `tasks=False` it runs none: schedules are fired and the engine is kept in order.
    """
    node = Node(app, settings, tasks=tasks)
    loop = asyncio.get_running_loop()
    for each in SIGNALS:
        loop.add_signal_handler(each, _stop, node, each.name)
    await node.run()
    return node


def _stop(node: Node, name: str) -> None:
    if node.draining:
        node.drain(f"{name} again", grace=timedelta(0))
    else:
        node.drain(name)


def run_process(app_path: str, settings: WorkerSettings | None = None) -> int:
    """Import an application and run one worker process of it; answers its exit code.

    0 drained in order, `RECYCLE` drained to be replaced, else that of the error, which is told in
    one line on standard error.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            node = runner.run(serve(import_app(app_path), settings))
            code = RECYCLE if node.recycle else 0
            if node.running:
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
