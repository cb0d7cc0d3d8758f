"""Files by what is in them, and names that any file system takes."""

import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_apps.services.files import (
    LONGEST_NAME,
    Files,
    FileTooLarge,
    StoredFile,
    UnknownFile,
    safe_name,
)

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files", most_bytes=1_000)


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_same_bytes_are_kept_once_however_they_are_given(files: Files, tmp_path: Path) -> None:
    assert files.put(b"hello") == StoredFile(HELLO, 5)
    assert files.put(io.BytesIO(b"hello")) == StoredFile(HELLO, 5)
    assert files.put(iter([b"he", b"", b"llo"])) == StoredFile(HELLO, 5)
    assert files.get(HELLO) == b"hello"
    assert kept(tmp_path) == [files.path(HELLO)]


def test_threads_that_put_the_same_bytes_at_once_keep_them_whole(files: Files) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(files.put, [b"hello"] * 50)) == {StoredFile(HELLO, 5)}
    assert files.get(HELLO) == b"hello"


def test_a_file_that_is_too_large_leaves_nothing_and_is_not_read_to_its_end(
    files: Files, tmp_path: Path
) -> None:
    read = 0

    def parts() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 300

    with pytest.raises(FileTooLarge, match="1,000 bytes"):
        files.put(parts())
    assert read == 4
    assert kept(tmp_path) == []
    assert files.put(b"x" * 1_000).size == 1_000


def test_a_source_that_fails_leaves_nothing(files: Files, tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        files.put(parts())
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", HELLO.upper(), HELLO[:-1], f"{HELLO}\n"]
)
def test_what_is_no_digest_reaches_no_file(files: Files, digest: str) -> None:
    for use in (files.path, files.get, files.remove):
        with pytest.raises(UnknownFile, match="no SHA-256"):
            use(digest)


def test_a_file_that_was_removed_or_damaged_is_not_given(files: Files) -> None:
    files.put(b"hello")
    files.path(HELLO).write_bytes(b"jello")
    with pytest.raises(UnknownFile, match="damaged"):
        files.get(HELLO)
    files.put(b"hello")
    assert files.get(HELLO) == b"hello"
    assert [files.remove(HELLO), files.remove(HELLO)] == [True, False]
    with pytest.raises(UnknownFile, match="is kept"):
        files.get(HELLO)


def test_what_a_killed_process_left_is_swept_once_it_is_old(files: Files, tmp_path: Path) -> None:
    assert files.sweep() == 0
    files.put(b"hello")
    left = tmp_path / "files" / "unfinished" / "half"
    left.write_bytes(b"he")
    assert files.sweep() == 0
    os.utime(left, (0, 0))
    assert files.sweep(timedelta(hours=1)) == 1
    assert kept(tmp_path) == [files.path(HELLO)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("季度 报告.docx", "季度 报告.docx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ana\\a.txt", "a.txt"),
        ("a\x00b\nc\u202egpj.exe", "a b c gpj.exe"),
        ('what? "this": <is>|*.txt', "what_ _this__ _is___.txt"),
        (" .hidden. ", "hidden"),
        ("con.txt", "_con.txt"),
        ("NUL", "_NUL"),
        ("...", "file"),
        ("", "file"),
        ("e\u0301t\u00e9.txt", "\u00e9t\u00e9.txt"),
    ],
)
def test_a_name_is_made_safe(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_a_long_name_is_cut_between_characters_and_keeps_its_suffix() -> None:
    name = safe_name("报" * 300 + ".docx")
    assert name.endswith("报.docx")
    assert LONGEST_NAME - 3 < len(name.encode()) <= LONGEST_NAME


@given(st.text())
def test_any_text_becomes_a_name_in_its_folder_that_stays_as_it_is(text: str) -> None:
    name = safe_name(text)
    assert name
    assert Path("folder", name).resolve().parent == Path("folder").resolve()
    assert len(name.encode(errors="surrogatepass")) <= LONGEST_NAME
    assert safe_name(name) == name
