"""The way of a document: complete, repeatable, resumable, fenced against stale work."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from apps.tests.counting import CountingEmbedder
from tidemill_apps.knowledge.documents import (
    CountsDiffer,
    Document,
    DocumentChanged,
    DocumentState,
    Library,
    Source,
    UnknownDocument,
)
from tidemill_apps.knowledge.indexing import STEPS, Step, index_document
from tidemill_apps.knowledge.refusal import DocumentRefused
from tidemill_apps.knowledge.search import search
from tidemill_apps.services.embedder import BATCH_SIZE, HashingEmbedder
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import SqliteVectors, VectorsMismatch

Index = Callable[[Path], Document]


def long_text(paragraphs: int = 120, word: str = "tide") -> str:
    return "\n\n".join(f"Paragraph {n} about the {word}. " + "It turns. " * 40
                       for n in range(paragraphs))  # fmt: skip


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(long_text())
    return path


def counts(file: SqliteFile) -> tuple[int, ...]:
    connection = file.connection()
    return tuple(
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("document", "segment", "vector", "keyword_posting")
    )


def test_a_document_comes_out_complete_with_its_times(index: Index, book: Path) -> None:
    document = index(book)
    assert document.state == DocumentState.COMPLETED
    assert document.segments == document.indexed == 120
    assert document.seconds.keys() == STEPS.keys()
    assert sum(STEPS.values()) == 100


def test_steps_come_in_order_and_batches_count_up(library: Library, book: Path) -> None:
    library.register([Source("book.txt", book)])
    steps = list(index_document(library, library.id_of("book.txt")))
    assert list(dict.fromkeys(step.name for step in steps)) == list(STEPS)
    assert [step for step in steps if step.name == "indexing"] == [
        Step("indexing", done, 120) for done in (0, 32, 64, 96, 120)
    ]


def test_the_state_in_the_file_follows_the_steps(library: Library, book: Path) -> None:
    library.register([Source("book.txt", book)])
    document_id = library.id_of("book.txt")
    assert library.document(document_id).state == DocumentState.WAITING
    seen = [library.document(document_id).state for _ in index_document(library, document_id)]
    assert list(dict.fromkeys(seen)) == [
        "parsing",
        "cleaning",
        "splitting",
        "indexing",
        "completed",
    ]


def test_indexing_twice_changes_no_count_and_embeds_nothing(
    index: Index, book: Path, file: SqliteFile, embedder: CountingEmbedder
) -> None:
    index(book)
    before, embedded = counts(file), list(embedder.passages)
    assert index(book).state == DocumentState.COMPLETED
    assert counts(file) == before
    assert embedder.passages == embedded


def test_a_run_that_stopped_after_two_batches_goes_on_with_the_rest(
    library: Library, book: Path, file: SqliteFile, embedder: CountingEmbedder
) -> None:
    library.register([Source("book.txt", book)])
    document_id = library.id_of("book.txt")
    steps = index_document(library, document_id)
    for step in steps:
        if step == Step("indexing", 2 * BATCH_SIZE, 120):
            break
    steps.close()
    first = list(embedder.passages)
    assert len(first) == 2 * BATCH_SIZE
    assert library.document(document_id).indexed == 2 * BATCH_SIZE
    again = list(index_document(Library(file, "tests", embedder), document_id))
    assert again[-1] == Step("verifying", 1, 1)
    assert len(embedder.passages) == len(set(embedder.passages)) == 120


def test_an_attempt_that_dies_inside_a_batch_leaves_no_part_of_it(
    library: Library, book: Path, file: SqliteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise MemoryError

    library.register([Source("book.txt", book)])
    document_id = library.id_of("book.txt")
    with monkeypatch.context() as patched:
        patched.setattr("tidemill_apps.knowledge.documents.SqliteKeywords.put", dies)
        with pytest.raises(MemoryError):
            list(index_document(library, document_id))
    assert counts(file) == (1, 120, 0, 0)
    assert library.document(document_id).indexed == 0


def test_after_a_change_only_new_segments_are_embedded_and_old_ones_are_gone(
    index: Index, book: Path, library: Library, file: SqliteFile, embedder: CountingEmbedder
) -> None:
    index(book)
    embedder.passages.clear()
    book.write_text(long_text().replace("Paragraph 7 about the tide", "Paragraph 7 about owls"))
    document = index(book)
    assert len(embedder.passages) == 1
    assert counts(file)[1:3] == (120, 120)
    assert document.state == DocumentState.COMPLETED
    assert "owls" in search(library, "Paragraph 7 about owls", 1)[0].text
    book.write_text("Only this is left.")
    assert index(book).segments == 1
    assert counts(file)[1:3] == (1, 1)
    assert library.keyed("tide", 5) == []


def test_registering_sorts_new_changed_and_unchanged_files(library: Library, book: Path) -> None:
    other = book.with_name("other.txt")
    other.write_text("Another one.")
    sources = [Source("book.txt", book), Source("other.txt", other)]
    assert len(library.register(sources).new) == 2
    assert len(library.register(sources).unchanged) == 2
    other.write_text("Changed.")
    again = library.register(sources)
    assert (again.new, again.changed) == ((), (library.id_of("other.txt"),))
    assert [document.name for document in library.documents()] == ["book.txt", "other.txt"]


def test_a_bad_file_ends_in_error_with_its_reason_and_recovers_when_mended(
    library: Library, index: Index, tmp_path: Path
) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(b"%PDF-1.4 cut off")
    library.register([Source("bad.pdf", path)])
    with pytest.raises(DocumentRefused, match=r"^corrupt: not a readable PDF$"):
        index(path)
    document = library.documents()[0]
    assert (document.state, document.error_code) == (DocumentState.ERROR, "corrupt")
    assert document.error_reason == "not a readable PDF"
    path.rename(tmp_path / "bad.txt")
    assert index(tmp_path / "bad.txt").error_code is None


def test_a_file_that_is_gone_becomes_a_document_that_says_so(
    library: Library, tmp_path: Path
) -> None:
    document_id = library.register([Source("gone.md", tmp_path / "gone.md")]).new[0]
    with pytest.raises(DocumentRefused, match=r"gone\.md does not exist"):
        list(index_document(library, document_id))
    assert library.document(document_id).error_code == "missing"


def test_a_file_changed_after_registering_is_not_indexed_under_the_old_sha(
    library: Library, book: Path
) -> None:
    document_id = library.register([Source("book.txt", book)]).new[0]
    book.write_text("Changed.")
    with pytest.raises(DocumentChanged, match=r"book\.txt has changed since"):
        list(index_document(library, document_id))


def test_work_on_the_old_content_is_stale_after_a_change(library: Library, book: Path) -> None:
    document_id = library.register([Source("book.txt", book)]).new[0]
    steps = index_document(library, document_id)
    next(step for step in steps if step == Step("indexing", BATCH_SIZE, 120))
    book.write_text("Changed.")
    library.register([Source("book.txt", book)])
    with pytest.raises(DocumentChanged, match="changed or removed meanwhile"):
        next(steps)


def test_a_removed_document_leaves_nothing_and_stops_the_work_on_it(
    library: Library, book: Path, file: SqliteFile
) -> None:
    document_id = library.register([Source("book.txt", book)]).new[0]
    steps = index_document(library, document_id)
    next(step for step in steps if step == Step("indexing", BATCH_SIZE, 120))
    assert library.remove(document_id) == BATCH_SIZE
    with pytest.raises(DocumentChanged):
        next(steps)
    assert counts(file) == (0, 0, 0, 0)
    with pytest.raises(UnknownDocument, match="'tests' has no document"):
        library.document(document_id)


def test_a_missing_vector_is_noticed_and_indexing_again_makes_it(
    index: Index, book: Path, library: Library, file: SqliteFile, embedder: CountingEmbedder
) -> None:
    document = index(book)
    segment = search(library, "Paragraph 7", 1)[0]
    ids = [found.id for found in library.near(segment.text, 1)]
    SqliteVectors(file).delete("tests", {"document_id": document.id, "id": ids})
    with pytest.raises(CountsDiffer, match="120 indexed, 119 vectors"):
        library.complete(document)
    embedder.passages.clear()
    assert index(book).state == DocumentState.COMPLETED
    assert embedder.passages == [segment.text]
    assert counts(file)[1:3] == (120, 120)


def test_a_dataset_is_not_mixed_with_another_model(library: Library, file: SqliteFile) -> None:
    with pytest.raises(VectorsMismatch, match="index again"):
        Library(file, "tests", HashingEmbedder(dim=64))


def test_datasets_of_one_file_do_not_see_each_other(
    index: Index, book: Path, file: SqliteFile, embedder: CountingEmbedder
) -> None:
    index(book)
    other = Library(file, "other", embedder)
    assert other.documents() == []
    assert search(other, "Paragraph 7 about the tide") == []


def test_a_batch_must_have_one_vector_for_each_segment(library: Library, book: Path) -> None:
    document_id = library.register([Source("book.txt", book)]).new[0]
    document = library.document(document_id)
    library.write_segments(document, "Book", ["one", "two"])
    batch = library.pending_segments(document_id, 2)
    with pytest.raises(ValueError, match="shorter"):
        library.commit_batch(document, batch, np.zeros((1, 256), np.float32))


def index_all(path: Path, names: list[str]) -> None:
    library = Library(SqliteFile(path), "tests", HashingEmbedder())
    for name in names:
        for _ in index_document(library, library.id_of(name)):
            pass


def test_processes_that_index_one_file_at_once_lose_and_double_nothing(
    tmp_path: Path, file: SqliteFile, library: Library
) -> None:
    names = [f"{number}.txt" for number in range(8)]
    for name in names:
        (tmp_path / name).write_text(long_text(40, word=f"word{name}"))
    library.register(Source(name, tmp_path / name) for name in names)
    # Both go through all eight, in opposite order, so that they meet on some.
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=index_all, args=(file.path, order)) for order in (names, names[::-1])
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert counts(file)[:3] == (8, 320, 320)
    assert {document.state for document in library.documents()} == {DocumentState.COMPLETED}
    assert search(library, "word3.txt", 1)[0].document == "3.txt"
