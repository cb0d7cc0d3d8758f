"""A process that dies when the server has the mail and the ledger does not say so yet.

`python -m apps.tests.services.mailer.program FOLDER PORT`
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from unittest.mock import patch

from apps.tests.services.database.conftest import opened
from tidemill_apps.services.mailer import Mailer, MailServer


async def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, port: int) -> None:
    server = MailServer(host="127.0.0.1", port=port, sender="t@example.org", encryption="none")
    context = {"title": "T", "lines": [], "link": "", "application": "A"}
    async with opened(folder) as database:
        with patch("tidemill_apps.services.mailer.mailer.end", die):
            await Mailer(server, database).send("notice", "en", "ana@example.org", context, "k")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
