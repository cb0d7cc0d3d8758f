"""The application: where its files are, its engine, and the library that its tasks share."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tidemill import AlertRule, AlertSettings, Settings, Tidemill, WorkerSettings
from tidemill_apps.knowledge.documents import Library
from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.engine_file import engine_file
from tidemill_apps.services.sqlite_file import SqliteFile

DATASET: Final = "library"
LIBRARY: Final = "library.db"
INDEXING: Final = "indexing"
ROUTES: Final = {"knowledge.*_task": INDEXING}
THREADS: Final = os.cpu_count() or 1
"""Documents indexed at once. Embedding is NumPy and lets other threads run meanwhile: two threads
index in 7.5 s what two processes take 8.2 s for, with one copy of the model (2 cores)."""
BAD_DOCUMENTS: Final = AlertRule(ignore=(INDEXING,))
"""A document that nobody can read is told to whoever indexes it, not to the operator."""


def data_directory() -> Path:
    """Where everything is kept: `TIDEMILL_KNOWLEDGE_DIR`, or `.tidemill/knowledge` from here.

    `tasks.db` is the engine's file, unless `TIDEMILL_URL` names another engine; `library.db` has
    the documents.
    """
    return Path(os.environ.get("TIDEMILL_KNOWLEDGE_DIR", ".tidemill/knowledge"))


@contextmanager
def open_library() -> Iterator[Library]:
    """Open the library in `data_directory()`; the encoder loads with the first text."""
    file = SqliteFile(data_directory() / LIBRARY)
    try:
        yield Library(file, DATASET, SentenceEncoder())
    finally:
        file.close()


app = Tidemill(
    settings=Settings(
        url=engine_file(data_directory()),
        worker=WorkerSettings(threads=THREADS),
        alerts=AlertSettings(rules={"failure_percentage": BAD_DOCUMENTS}),
    ),
    routes=ROUTES,
)


@app.resource
async def library() -> AsyncIterator[Library]:
    """The library, once for each worker process."""
    with open_library() as opened:
        yield opened
