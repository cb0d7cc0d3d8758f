"""An application with an outbox, and a process of it that dies where it is told.

`python -m apps.tests.services.database.program FOLDER WHERE`: records calls, and kills itself
`before-commit`, `after-commit` (before the relay has seen it) or `after-enqueue` (before the row is
removed). With `never` it records and relays for ever.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.tests.services.database.conftest import opened, urls
from tidemill import Tidemill
from tidemill_apps.services.database import Database, Outbox, once


def application(url: str) -> Tidemill:
    """One task type, of which this test runs none."""
    app = Tidemill(url)

    @app.task(name="mail:analyze", queue="mail")
    async def analyze(number: int) -> None: ...

    return app


async def record(app: Tidemill, database: Database, outbox: Outbox, number: int) -> str:
    """Make an effect and record its task, in one transaction."""
    async with database.writing() as session:
        task_id = await outbox.enqueue_after_commit(
            session, app.function("mail:analyze").call(number=number)
        )
        assert await once(session, "effect", task_id)
        return task_id


class DyingOutbox(Outbox):
    """Dies when tasks are enqueued and their rows are about to be removed."""

    async def _settle(self, accepted: Sequence[int], problems: dict[int, str]) -> None:
        del accepted, problems
        die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, where: str) -> None:
    app = application(urls(folder)[1])
    async with opened(folder) as database:
        if where == "never":
            async with Outbox(app, database).running() as outbox:
                for number in range(1_000_000):
                    await record(app, database, outbox, number)
        outbox = DyingOutbox(app, database)
        if where == "before-commit":
            async with database.writing() as session:
                call = app.function("mail:analyze").call(number=0)
                assert await once(
                    session, "effect", await outbox.enqueue_after_commit(session, call)
                )
                await session.flush()
                die()
        for number in range(3):
            await record(app, database, outbox, number)
        if where == "after-commit":
            die()
        await outbox.relay()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
