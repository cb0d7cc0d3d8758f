"""A worker of the knowledge application as a process, with an embedder that logs its batches.

Started as `python -m apps.tests.knowledge.worker_process`; its child processes import `app` from
here. `KNOWLEDGE_TEST_STALL`: after so many batches it never comes back from one.
"""

import asyncio
import os
from pathlib import Path

from apps.tests.counting import LoggingEmbedder
from apps.tests.knowledge.system import library_resource, running
from tidemill_apps.knowledge.app import data_directory
from tidemill_apps.knowledge.tasks import app

stall = os.environ.get("KNOWLEDGE_TEST_STALL")
embedder = LoggingEmbedder(data_directory() / "batches.jsonl", int(stall) if stall else None)
app.resources = (library_resource(Path(data_directory()), embedder),)
app.import_path = "apps.tests.knowledge.worker_process:app"


async def main() -> None:
    async with running(app):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
