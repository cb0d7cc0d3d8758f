"""The way of one document: read, parse, clean, split, embed in batches, verify."""

import hashlib
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tidemill_apps.knowledge.clean import clean
from tidemill_apps.knowledge.documents import (
    Document,
    DocumentChanged,
    DocumentState,
    Library,
)
from tidemill_apps.knowledge.parse import parse, read
from tidemill_apps.knowledge.refusal import DocumentRefused
from tidemill_apps.knowledge.split import split
from tidemill_apps.services.embedder import BATCH_SIZE

STEPS: Final = {"parsing": 10, "cleaning": 2, "splitting": 3, "indexing": 80, "verifying": 5}
"""The steps of indexing a document and how much of the whole each is, in percent."""


class Step(msgspec.Struct, frozen=True):
    """`done` of `total` parts of a step are finished and committed."""

    name: str
    done: int
    total: int


def index_document(library: Library, document_id: str) -> Generator[Step, None, None]:
    """Index a document step by step; whoever stops iterating loses nothing that was yielded.

    Called again it goes on after the last committed batch: what has a vector is not embedded
    again, of an indexed document nothing is. Raises `DocumentRefused`
    (noted in the document; trying again is useless), `DocumentChanged` (register it again)
    or `UnknownDocument`.
    """
    document = library.document(document_id)
    try:
        yield from _prepare(library, document)
    except DocumentRefused as refusal:
        library.refuse(document, refusal)
        raise
    yield from _embed(library, document)
    with _timed(library, document, "verifying"):
        library.complete(document)
    yield Step("verifying", 1, 1)


def _prepare(library: Library, document: Document) -> Iterator[Step]:
    with _timed(library, document, "parsing"):
        library.enter(document, DocumentState.PARSING)
        data = read(document.path)
        if hashlib.sha256(data).hexdigest() != document.sha:
            raise DocumentChanged(f"{document.name} has changed since it was registered")
        parsed = parse(document.name, data)
    yield Step("parsing", 1, 1)
    with _timed(library, document, "cleaning"):
        library.enter(document, DocumentState.CLEANING)
        text = clean(parsed)
    yield Step("cleaning", 1, 1)
    with _timed(library, document, "splitting"):
        library.enter(document, DocumentState.SPLITTING)
        texts = split(text, parsed.form)
        if not texts:
            raise DocumentRefused("no_text", "the file contains no words")
        library.write_segments(document, parsed.title, texts)
    yield Step("splitting", 1, 1)


def _embed(library: Library, document: Document) -> Iterator[Step]:
    library.enter(document, DocumentState.INDEXING)
    while batch := library.pending_segments(document.id, BATCH_SIZE):
        with _timed(library, document, "indexing"):
            vectors = library.embedder.embed([segment.text for segment in batch])
            reached = library.commit_batch(document, batch, vectors)
        yield Step("indexing", reached.indexed, reached.segments)


@contextmanager
def _timed(library: Library, document: Document, stage: str) -> Iterator[None]:
    """Add the time inside the block to the document, unless the block raises."""
    started = time.perf_counter()
    yield
    library.spend(document, stage, time.perf_counter() - started)
