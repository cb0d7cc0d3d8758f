"""The demo's documents are there, are readable, and answer the demo's questions."""

from pathlib import Path

import pytest

from tidemill_apps.knowledge.corpus import demo_documents, folder_documents
from tidemill_apps.knowledge.documents import DocumentState, Library
from tidemill_apps.knowledge.indexing import index_document
from tidemill_apps.knowledge.parse import KINDS
from tidemill_apps.knowledge.questions import QUESTIONS
from tidemill_apps.knowledge.search import search
from tidemill_apps.services.embedder import SentenceEncoder
from tidemill_apps.services.sqlite_file import SqliteFile


def test_a_folder_gives_every_readable_file_but_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.md", "sub/a.PDF", "sub/data.bin", ".git/x.md", ".hidden.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [source.name for source in folder_documents(tmp_path)] == ["b.md", "sub/a.PDF"]


def test_the_demo_has_documents_of_every_kind_under_names_of_their_own(tmp_path: Path) -> None:
    sources = demo_documents(tmp_path)
    assert 60 <= len(sources) <= 150
    assert {source.path.suffix for source in sources} == set(KINDS)
    assert len({source.name for source in sources}) == len(sources)


def test_gathering_again_leaves_made_documents_as_they_are(tmp_path: Path) -> None:
    demo_documents(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    demo_documents(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.timeout(300)
def test_the_demo_indexes_every_document_and_finds_the_answer_to_every_question(
    tmp_path: Path,
) -> None:
    """With the real encoder: about 15 s on two cores."""
    library = Library(SqliteFile(tmp_path / "knowledge.db"), "demo", SentenceEncoder())
    for document_id in library.register(demo_documents(tmp_path / "made")).new:
        list(index_document(library, document_id))
    documents = library.documents()
    assert {document.state for document in documents} == {DocumentState.COMPLETED}
    assert 1_000 <= sum(document.segments for document in documents) <= 3_000
    missed = [
        question.text
        for question in QUESTIONS
        if not any(
            passage.document.endswith(question.expected)
            for passage in search(library, question.text, 3)
        )
    ]
    assert missed == []
