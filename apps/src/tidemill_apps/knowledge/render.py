"""Small real documents in formats that Python and its packages do not carry: PDF and Word."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import docx
import msgspec

_LINE_WIDTH: Final = 92
_LINES_PER_PAGE: Final = 54


class Chapter(msgspec.Struct, frozen=True):
    """A heading and the text below it; a blank line separates paragraphs."""

    heading: str
    text: str


def write_docx(path: Path, title: str, chapters: Sequence[Chapter]) -> None:
    """Write a Word document with one heading for every chapter."""
    document = docx.Document()
    document.core_properties.title = title
    document.add_heading(title, level=0)
    for chapter in chapters:
        document.add_heading(chapter.heading, level=1)
        for paragraph in chapter.text.split("\n\n"):
            document.add_paragraph(paragraph)
    document.save(str(path))


def write_pdf(path: Path, title: str, chapters: Sequence[Chapter]) -> None:
    """Write a PDF with the title as header and a number as footer of every page.

    Uses the Helvetica that every reader has; characters outside Latin-1 become question marks.
    """
    lines: list[str] = []
    for chapter in chapters:
        lines += ["", chapter.heading, ""]
        for line in chapter.text.splitlines():
            lines += textwrap.wrap(line, _LINE_WIDTH) or [""]
    starts = range(0, len(lines), _LINES_PER_PAGE)
    pages = [lines[start : start + _LINES_PER_PAGE] for start in starts]
    page_ids = [4 + 2 * at for at in range(len(pages))]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(pages), b" ".join(b"%d 0 R" % page_id for page_id in page_ids)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, (page_id, page) in enumerate(zip(page_ids, pages, strict=True), start=1):
        drawn = _drawn([title, "", *page, "", f"Page {number} of {len(pages)}"])
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (page_id + 1),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        ]
    objects.append(b"<< /Title (%s) >>" % _literal(title))
    path.write_bytes(_file(objects))


def _drawn(lines: Sequence[str]) -> bytes:
    shown = b"\n".join(b"(%s) Tj T*" % _literal(line) for line in lines)
    return b"BT /F1 10 Tf 13 TL 50 800 Td\n%s\nET" % shown


def _literal(text: str) -> bytes:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return escaped.encode("latin-1", "replace")


def _file(objects: Sequence[bytes]) -> bytes:
    """Join the objects with their cross-reference table; the last one is the information."""
    body = b"%PDF-1.4\n"
    table = b"0000000000 65535 f \n"
    for number, content in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = len(objects) + 1
    trailer = b"<< /Size %d /Root 1 0 R /Info %d 0 R >>" % (size, size - 1)
    ending = b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer, len(body))
    return body + b"xref\n0 %d\n" % size + table + ending
