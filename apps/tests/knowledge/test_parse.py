"""One file of every kind, and every kind of bad file."""

import io
import random
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import docx
import pytest

from tidemill_apps.knowledge.parse import KINDS, MAX_BYTES, Parsed, parse, read
from tidemill_apps.knowledge.refusal import DocumentRefused, RefusalCode
from tidemill_apps.knowledge.render import Chapter, write_docx, write_pdf

CHAPTERS = [
    Chapter("Tides", "The tide rises (twice) a day.\n\nThe mill\\wheel turns."),
    Chapter("Mills", "A mill grinds corn.\n" * 80),
]


def refusal_of(name: str, data: bytes) -> RefusalCode:
    with pytest.raises(DocumentRefused) as refused:
        parse(name, data)
    assert "\n" not in str(refused.value)
    assert len(refused.value.reason) > 5
    return refused.value.code


def written(write: Callable[[Path, str, list[Chapter]], None], path: Path) -> bytes:
    write(path, "Tide mills", CHAPTERS)
    return path.read_bytes()


def test_text_stays_and_takes_its_title_from_the_name() -> None:
    assert parse("notes/潮汐.txt", "一段文字".encode()) == Parsed("一段文字", "潮汐", "plain")


def test_markdown_stays_and_takes_its_title_from_the_first_heading() -> None:
    text = "Intro\n\n## Tide mills ##\n\nText.\n"
    assert parse("a.md", text.encode()) == Parsed(text, "Tide mills", "markdown")


def test_rst_loses_its_markup_and_keeps_unknown_roles_and_directives() -> None:
    source = b"""
:mod:`mill` Guide
=================

Use :func:`mill.run` and *wait*.

.. a comment

Part
----

.. function:: run(wheel)

   Turns the wheel.

.. include:: /etc/hostname

.. raw:: html

   <b>raw</b>
"""
    parsed = parse("a.rst", source)
    assert parsed.title == "mill Guide"
    assert parsed.text.startswith("# mill Guide\n\nUse mill.run and wait.\n\n## Part\n\n")
    assert "run(wheel)" in parsed.text
    assert "Turns the wheel." in parsed.text
    assert "comment" not in parsed.text


def test_rst_never_opens_the_files_that_it_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    source = f"Text.\n\n.. include:: {secret}\n\n.. csv-table::\n   :file: {secret}\n"
    assert "the secret" not in parse("a.rst", source.encode()).text


def test_html_keeps_what_a_reader_sees() -> None:
    page = b"""<!DOCTYPE html><html><head><title> Tide
    mills </title><style>p {}</style></head><body><nav>Menu</nav>
    <h1>Mills&para;</h1><p>One <!-- hidden -->two<script>alert()</script> three</p>
    <ul><li><p>first</p></li><li>second</li></ul><pre>a
  b</pre><div role="navigation">more menu</div>tail</body></html>"""
    parsed = parse("a.html", page)
    assert parsed.title == "Tide mills"
    assert parsed.text == "# Mills\n\nOne two three\n\n- first\n\n- second\n\na\n  b\n\ntail"


def test_html_is_read_in_the_encoding_that_it_declares() -> None:
    page = '<meta charset="gb2312"><p>潮汐磨坊</p>'.encode("gb2312")
    assert parse("a.html", page).text.strip() == "潮汐磨坊"
    assert "x" in parse("a.html", b'<?xml version="1.0" encoding="x-none"?><p>x</p>').text


def test_python_becomes_its_documentation() -> None:
    source = b'''"""Mills that turn.

More."""
import os
class Wheel(Base):
    """A wheel."""
    def turn(self, *, times: int = 1) -> None:
        """Turn it."""
    def _hidden(self): pass
async def run(wheel): return 1
'''
    parsed = parse("mill.py", source)
    assert parsed.title == "Mills that turn."
    assert parsed.text == (
        "Mills that turn.\n\nMore.\n\n## class Wheel(Base)\n\nA wheel.\n\n"
        "### Wheel.turn(self, *, times: int=1)\n\nTurn it.\n\n## async def run(wheel)"
    )


@pytest.mark.parametrize("source", [b"x = 1\ny = 2\n", b"print 'two'\n", b"((((((\n"])
def test_python_without_documentation_stays_source(source: bytes) -> None:
    assert parse("a.py", source) == Parsed(source.decode(), "a", "plain")


def test_pdf_gives_the_text_of_every_page(tmp_path: Path) -> None:
    parsed = parse("a.pdf", written(write_pdf, tmp_path / "a.pdf"))
    assert (parsed.title, parsed.form) == ("Tide mills", "pages")
    pages = parsed.text.split("\f")
    assert len(pages) == 2
    assert "rises (twice) a day" in pages[0]
    assert "mill\\wheel" in pages[0]
    assert "A mill grinds corn." in pages[1]


def test_threads_may_parse_documents_at_once(tmp_path: Path) -> None:
    files = {
        "a.pdf": written(write_pdf, tmp_path / "a.pdf"),
        "a.docx": written(write_docx, tmp_path / "a.docx"),
        "a.rst": b"Title\n=====\n\n:mod:`text`\n",
    }
    with ThreadPoolExecutor(6) as threads:
        parsed = list(threads.map(lambda name: (name, parse(name, files[name])), [*files] * 30))
    assert all(parsed.count((name, parse(name, files[name]))) == 30 for name in files)


def test_reading_rst_leaves_the_warning_filters_of_the_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are not the thread's: one that puts them back undoes what another has just set."""

    def swapped(*_: object, **__: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(warnings, "catch_warnings", swapped)
    assert parse("a.rst", b"Title\n=====\n\nText.\n").title == "Title"


def test_docx_gives_headings_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    document = docx.Document(io.BytesIO(written(write_docx, tmp_path / "a.docx")))
    table = document.add_table(1, 2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "wheel", "turns"
    document.add_paragraph("The end.")
    changed = io.BytesIO()
    document.save(changed)
    parsed = parse("a.docx", changed.getvalue())
    assert parsed.title == "Tide mills"
    assert parsed.text.startswith("# Tide mills\n\n## Tides\n\nThe tide rises (twice) a day.\n\n")
    assert parsed.text.endswith("wheel | turns\n\nThe end.")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_of_any_kind_is_empty(kind: str) -> None:
    assert refusal_of(f"a{kind}", b"") == "empty"


@pytest.mark.parametrize("kind", [".md", ".txt", ".rst", ".html", ".py"])
def test_blank_files_have_no_text(kind: str) -> None:
    assert refusal_of(f"a{kind}", b" \n\n\t\n") == "no_text"


@pytest.mark.parametrize("kind", KINDS)
def test_random_bytes_of_any_kind_are_corrupt(kind: str) -> None:
    assert refusal_of(f"a{kind}", random.Random(2).randbytes(5000)) == "corrupt"


@pytest.mark.parametrize("name", ["a.zip", "a", ".bashrc", "a.doc"])
def test_other_kinds_are_unsupported(name: str) -> None:
    assert refusal_of(name, b"data") == "unsupported"


def test_html_without_content_has_no_text() -> None:
    assert refusal_of("a.html", b"<html><script>x</script></html>") == "no_text"
    assert refusal_of("a.html", b"<!-- only this -->") == "no_text"


def test_a_pdf_without_text_says_that_a_scan_needs_ocr(tmp_path: Path) -> None:
    data = written(write_pdf, tmp_path / "a.pdf").replace(b" Tj ", b" Xx ")
    with pytest.raises(DocumentRefused, match=r"none of the 2 pages .*OCR") as refused:
        parse("a.pdf", data)
    assert refused.value.code == "no_text"


def test_an_encrypted_pdf_asks_for_a_password(tmp_path: Path) -> None:
    data = written(write_pdf, tmp_path / "a.pdf")
    protection = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00> <00>]"
        % (b"12" * 32, b"34" * 32)
    )
    assert refusal_of("a.pdf", data.replace(b"/Root", protection + b" /Root")) == "encrypted"


def test_an_encrypted_docx_is_encrypted() -> None:
    assert refusal_of("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)) == "encrypted"


def test_a_docx_that_unpacks_to_too_much_is_too_large() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in range(5):
            archive.writestr(f"word/{part}.xml", bytes(MAX_BYTES))
    assert refusal_of("a.docx", bomb.getvalue()) == "too_large"


def test_a_zip_that_is_no_word_file_is_corrupt() -> None:
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "text")
    assert refusal_of("a.docx", other.getvalue()) == "corrupt"


@pytest.mark.parametrize("write", [write_pdf, write_docx])
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    write: Callable[[Path, str, list[Chapter]], None], tmp_path: Path
) -> None:
    name = "a.pdf" if write is write_pdf else "a.docx"
    whole = written(write, tmp_path / name)
    dice = random.Random(3)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        for data in (bytes(damaged), whole[: dice.randrange(1, len(whole))]):
            with suppress(DocumentRefused):
                parse(name, data)


def test_a_deep_or_broken_page_is_read_or_refused_but_never_crashes() -> None:
    for page in (b"<div>" * 20_000 + b"deep", b"<p>" + b"<!--" * 5000, b"<<<>>&#x0;&#55296;x"):
        with suppress(DocumentRefused):
            parse("a.html", page)


def test_a_file_that_is_gone_or_a_folder_is_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.txt", tmp_path):
        with pytest.raises(DocumentRefused) as refused:
            read(path)
        assert refused.value.code == "missing"


def test_a_file_over_the_limit_is_too_large_without_being_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as opened:
        opened.truncate(MAX_BYTES + 1)
    with pytest.raises(DocumentRefused, match="the limit is 64 MiB") as refused:
        read(huge)
    assert refused.value.code == "too_large"
