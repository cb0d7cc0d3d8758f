"""The demo's documents are there; that they answer its questions, the demo itself verifies."""

import os
from pathlib import Path

from tidemill_apps.knowledge.corpus import collect_demo, demo_documents, folder_documents
from tidemill_apps.knowledge.parse import KINDS
from tidemill_apps.knowledge.questions import QUESTIONS


def test_a_folder_gives_every_readable_file_but_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.md", "sub/a.PDF", "sub/data.bin", ".git/x.md", ".hidden.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [source.name for source in folder_documents(tmp_path)] == ["b.md", "sub/a.PDF"]


def test_the_demo_has_documents_of_every_kind_under_names_of_their_own(tmp_path: Path) -> None:
    sources = demo_documents(tmp_path)
    assert 60 <= len(sources) <= 200
    pages_of_python = Path(os.__file__).parent / "idlelib/help.html"  # Debian's has none
    lacking = set() if pages_of_python.is_file() else {".html"}
    assert {source.path.suffix for source in sources} == set(KINDS) - lacking
    assert len({source.name for source in sources}) == len(sources)


def test_gathering_again_leaves_made_documents_as_they_are(tmp_path: Path) -> None:
    demo_documents(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    demo_documents(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_demo_folder_holds_the_demo_and_two_bad_documents_and_nothing_else(
    tmp_path: Path,
) -> None:
    bad = collect_demo(tmp_path)
    (tmp_path / "old.md").write_text("Of another time.")
    before = {source.name: source.path.stat().st_mtime_ns for source in folder_documents(tmp_path)}
    assert collect_demo(tmp_path) == bad == {"bad/cut-off.pdf", "bad/empty.txt"}
    after = {source.name: source.path.stat().st_mtime_ns for source in folder_documents(tmp_path)}
    assert before.keys() - after.keys() == {"old.md"}
    assert all(before[name] == changed for name, changed in after.items())
    assert {source.name for source in demo_documents(tmp_path / ".made")} == after.keys() - bad


def test_the_document_that_each_question_expects_is_there(tmp_path: Path) -> None:
    names = [source.name for source in demo_documents(tmp_path)]
    for question in QUESTIONS:
        assert sum(name.endswith(question.expected) for name in names) == 1
