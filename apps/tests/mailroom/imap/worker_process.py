"""A worker of the mailroom as a process: `python -m apps.tests.mailroom.imap.worker_process`."""

import asyncio

from apps.tests.mailroom.imap.system import running
from tidemill_apps.mailroom.tasks import app


async def main() -> None:
    app.import_path = "tidemill_apps.mailroom.tasks:app"
    async with running(app):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
