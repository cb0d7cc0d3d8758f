"""A library on an empty file, and a short way to index into it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.tests.counting import CountingEmbedder
from tests.conftest import pytest_pyfunc_call
from tidemill_apps.knowledge.documents import Document, Library, Source
from tidemill_apps.knowledge.indexing import index_document
from tidemill_apps.services.sqlite_file import SqliteFile

__all__ = ["pytest_pyfunc_call"]  # coroutine tests run here as they do in tests/

Index = Callable[[Path], Document]


@pytest.fixture
def embedder() -> CountingEmbedder:
    return CountingEmbedder()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteFile]:
    opened = SqliteFile(tmp_path / "knowledge.db")
    yield opened
    opened.close()


@pytest.fixture
def library(file: SqliteFile, embedder: CountingEmbedder) -> Library:
    return Library(file, "tests", embedder)


@pytest.fixture
def index(library: Library) -> Index:
    """Register a file under its own name and index it to the end."""

    def indexed(path: Path) -> Document:
        library.register([Source(path.name, path)])
        document_id = library.id_of(path.name)
        for _ in index_document(library, document_id):
            pass
        return library.document(document_id)

    return indexed
