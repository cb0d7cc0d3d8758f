"""The application: its engine, its queues' defaults, and the mailroom that its tasks share."""

import os
from collections.abc import AsyncIterator
from typing import Final

from tidemill import Settings, Tidemill, WorkerSettings
from tidemill_apps.mailroom.opening import Mailroom, open_mailroom
from tidemill_apps.mailroom.settings import Place, engine_url

SYNC: Final = "mail.sync"
ANALYZE: Final = "mail.analyze"
MAINTENANCE: Final = "mail.maint"

app = Tidemill(settings=Settings(url=engine_url(os.environ), worker=WorkerSettings(concurrency=10)))


@app.resource
async def mailroom() -> AsyncIterator[Mailroom]:
    """The mailroom, once for each worker process."""
    async with open_mailroom(app, Place.of(os.environ)) as opened:
        yield opened
