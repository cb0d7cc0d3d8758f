"""A document's bytes to its text: one function for each kind of file.

Headings become Markdown headings whatever the kind, so that the next stages see one notation;
the pages of a PDF are separated by form feeds. Whatever is wrong with a file ends as
`DocumentRefused` with one line that a person can act on, never as a library's exception.
"""

import io
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Final, Literal

import docx
import msgspec
import pypdfium2
from docx.document import Document as WordDocument
from docx.table import Table

from tidemill_apps.knowledge.decode import decode
from tidemill_apps.knowledge.markup import markdown_of_html, markdown_of_rst
from tidemill_apps.knowledge.outline import outline_of_python
from tidemill_apps.knowledge.refusal import DocumentRefused

MAX_BYTES: Final = 64 * 2**20
MAX_CHARACTERS: Final = 10_000_000
"""About 20,000 passages: more than one document should put into a collection."""

Form = Literal["plain", "markdown", "pages"]

# PDFium is not thread-safe, not even on two documents: one thread of the process at a time.
_PDFIUM: Final = threading.Lock()
_OLE_MAGIC: Final = b"\xd0\xcf\x11\xe0"
_CHARSET: Final = re.compile(rb"""<meta[^>]+charset=["']?([\w-]+)""", re.IGNORECASE)


class Parsed(msgspec.Struct, frozen=True):
    """What a file says. `form` tells the next stages how to read `text`."""

    text: str
    title: str
    form: Form


def read(path: Path) -> bytes:
    """Return the file's bytes; refuse what cannot be opened or is over `MAX_BYTES`."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            reason = f"{size / 2**20:.0f} MiB; the limit is {MAX_BYTES / 2**20:.0f} MiB"
            raise DocumentRefused("too_large", reason)
        return path.read_bytes()
    except FileNotFoundError:
        raise DocumentRefused("missing", f"{path} does not exist") from None
    except OSError as error:
        raise DocumentRefused("missing", f"{path}: {error.strerror}") from None


def parse(name: str, data: bytes) -> Parsed:
    """Return the text of a file called `name`, whose suffix decides how it is read."""
    suffix = PurePath(name).suffix.lower()
    parser = _PARSERS.get(suffix)
    if parser is None:
        reason = f"cannot read {suffix or 'files without a suffix'}; can read {', '.join(KINDS)}"
        raise DocumentRefused("unsupported", reason)
    if not data:
        raise DocumentRefused("empty", "the file has 0 bytes")
    parsed = parser(data)
    if not parsed.text.strip():
        raise DocumentRefused("no_text", "the file contains no text")
    if len(parsed.text) > MAX_CHARACTERS:
        reason = f"{len(parsed.text):,} characters of text; the limit is {MAX_CHARACTERS:,}"
        raise DocumentRefused("too_large", reason)
    return msgspec.structs.replace(parsed, title=parsed.title.strip() or PurePath(name).stem)


def parse_text(data: bytes) -> Parsed:
    """Plain text: has no title of its own."""
    return Parsed(decode(data), "", "plain")


def parse_markdown(data: bytes) -> Parsed:
    """Markdown: stays as it is."""
    text = decode(data)
    heading = re.search(r"^#{1,6}[ \t]+(\S.*)$", text, re.MULTILINE)
    return Parsed(text, heading[1].rstrip(" \t\r#") if heading else "", "markdown")


def parse_python(data: bytes) -> Parsed:
    """Python: names, signatures and docstrings; the source itself where there are none."""
    source = decode(data)
    outline = outline_of_python(source)
    if outline is None:
        return Parsed(source, "", "plain")
    return Parsed(outline.text, outline.title, "markdown")


def parse_rst(data: bytes) -> Parsed:
    """Give the text of reStructuredText, also of the Sphinx directives that docutils lacks."""
    marked = markdown_of_rst(decode(data))
    return Parsed(marked.text, marked.title, "markdown")


def parse_html(data: bytes) -> Parsed:
    """HTML: what a reader sees, without scripts, styles and navigation."""
    declared = _CHARSET.search(data[:2048])
    try:
        page = data.decode(declared[1].decode()) if declared else decode(data)
    except (LookupError, UnicodeDecodeError):
        page = decode(data)
    marked = markdown_of_html(page)
    return Parsed(marked.text, marked.title, "markdown")


def parse_pdf(data: bytes) -> Parsed:
    """PDF: the text of every page; a scan has none and is refused."""
    with _PDFIUM:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise DocumentRefused("encrypted", "the PDF asks for a password") from None
            raise DocumentRefused("corrupt", "not a readable PDF") from None
        try:
            pages = [page.get_textpage().get_text_bounded() for page in pdf]
            title = pdf.get_metadata_value("Title")
        except pypdfium2.PdfiumError:
            raise DocumentRefused("corrupt", "a page of the PDF cannot be read") from None
        finally:
            pdf.close()
    if not any(page.strip() for page in pages):
        reason = f"none of the {len(pages)} pages contains text (a scan needs OCR first)"
        raise DocumentRefused("no_text", reason)
    return Parsed("\f".join(pages), title, "pages")


def parse_docx(data: bytes) -> Parsed:
    """Word: paragraphs, headings and tables in their order."""
    if data.startswith(_OLE_MAGIC):
        raise DocumentRefused("encrypted", "the file asks for a password, or is a .doc")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > 4 * MAX_BYTES:
            reason = f"unpacks to {unpacked / 2**20:.0f} MiB"
            raise DocumentRefused("too_large", reason)
        document = docx.Document(io.BytesIO(data))
        blocks = list(_word_blocks(document))
        title = document.core_properties.title
    except (DocumentRefused, MemoryError):
        raise
    except Exception:  # noqa: BLE001  python-docx lets out whatever its XML meets, KeyError to OSError
        raise DocumentRefused("corrupt", "not a readable .docx") from None
    return Parsed("\n\n".join(blocks), title, "markdown")


def _word_blocks(document: WordDocument) -> Iterator[str]:
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            for row in block.rows:
                yield " | ".join(cell.text for cell in row.cells)
            continue
        style = (block.style.name if block.style else None) or ""
        if not block.text.strip():
            continue
        if style == "Title":
            yield f"# {block.text}"
        elif style.startswith("Heading "):
            yield f"{'#' * min(int(style[8:]) + 1, 6)} {block.text}"
        else:
            yield f"- {block.text}" if style.startswith("List") else block.text


_PARSERS: Final[dict[str, Callable[[bytes], Parsed]]] = {
    ".docx": parse_docx,
    ".html": parse_html,
    ".md": parse_markdown,
    ".pdf": parse_pdf,
    ".py": parse_python,
    ".rst": parse_rst,
    ".txt": parse_text,
}
KINDS: Final = tuple(_PARSERS)
"""The suffixes that `parse` can read."""
