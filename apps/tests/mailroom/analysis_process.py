"""A worker of the mailroom as a process, which is killed when its first analysis has returned.

Started as `python -m apps.tests.mailroom.analysis_process`; its child processes import `app` from
here.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from apps.tests.mailroom.analysis import resource_of
from tidemill import Context, Node, WorkerSettings
from tidemill_apps.mailroom.asking import ANALYZE
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.tasks import app

QUICK = WorkerSettings(lease=timedelta(seconds=2), heartbeat=timedelta(milliseconds=200))


async def killed_between_save_and_settle(
    ctx: Context, call_next: Callable[[], Awaitable[Any]]
) -> Any:
    """End the process once the function has returned, before the engine hears of it."""
    answer = await call_next()
    if (ctx.task_type, ctx.attempt) == (ANALYZE, 1):  # not a schedule's, which may be due now
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


app.resources = (resource_of(Place.of(os.environ)),)
app.import_path = "apps.tests.mailroom.analysis_process:app"

if __name__ == "__main__":
    app.middleware = (killed_between_save_and_settle,)
    asyncio.run(Node(app, QUICK).run())
