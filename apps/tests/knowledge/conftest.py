"""The knowledge application on an empty engine and an empty library."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.tests.counting import CountingEmbedder
from apps.tests.knowledge.system import library_resource
from tidemill import Tidemill
from tidemill.engines import open_engine
from tidemill_apps.knowledge.app import DATASET
from tidemill_apps.knowledge.documents import Library
from tidemill_apps.knowledge.tasks import app
from tidemill_apps.services.sqlite_file import SqliteFile


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("TIDEMILL_KNOWLEDGE_DIR", str(path))
    return path


@pytest.fixture
def knowledge(
    home: Path, embedder: CountingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tidemill]:
    """The application, with the hashing embedder."""
    monkeypatch.setattr(app, "resources", (library_resource(home, embedder),))
    app.use_engine(open_engine(f"sqlite:///{home / 'tasks.db'}"))
    yield app
    app.use_engine(None)


@pytest.fixture
def kept(home: Path, embedder: CountingEmbedder) -> Iterator[Library]:
    """The application's library as the test sees it, through connections of its own."""
    file = SqliteFile(home / "library.db")
    yield Library(file, DATASET, embedder)
    file.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five good documents, three of them longer than one batch, and three bad ones."""
    path = tmp_path / "documents"
    path.mkdir()
    for name, paragraphs in {"a.txt": 120, "b.md": 40, "sub/c.txt": 70}.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text(name, paragraphs))
    (path / "d.html").write_text("<h1>Mills</h1><p>The wheel turns with the tide.</p>")
    (path / "e.rst").write_text("Mills\n=====\n\nThe pond fills with the flood.\n")
    (path / "corrupt.pdf").write_bytes(b"%PDF-1.7\n1 0 obj\n<<")
    (path / "empty.txt").write_bytes(b"")
    (path / "zero.docx").write_bytes(b"")
    return path


def text(about: str, paragraphs: int) -> str:
    """So many segments, of which no two are alike."""
    return "\n\n".join(
        f"Paragraph {n} of {about} about tides. " + "It turns. " * 40 for n in range(paragraphs)
    )
