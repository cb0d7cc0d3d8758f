"""The way of one document: read, parse, clean, split, embed in batches, verify."""

import hashlib
import time
from collections import defaultdict
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
    again, of an indexed document nothing is; the first step of `indexing` tells where it goes on.
    Raises `DocumentRefused`
    (noted in the document; trying again is useless), `DocumentChanged` (register it again)
    or `UnknownDocument`.
    """
    document = library.document(document_id)
    watch = _Watch()
    try:
        yield from _prepare(library, document, watch)
    except DocumentRefused as refusal:
        library.refuse(document, refusal)
        raise
    yield from _embed(library, document, watch)
    with library.transaction():
        with watch.timing("verifying"):
            library.complete(document)
        library.spend(document, watch.take())
    yield Step("verifying", 1, 1)


class _Watch:
    """Adds up the time of stages until it is taken, to be kept with what the stage has done."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._spent[stage] += time.perf_counter() - started

    def take(self) -> dict[str, float]:
        spent, self._spent = self._spent, defaultdict(float)
        return spent


def _prepare(library: Library, document: Document, watch: _Watch) -> Iterator[Step]:
    _enter(library, document, DocumentState.PARSING, watch)
    with watch.timing("parsing"):
        data = read(document.path)
        if hashlib.sha256(data).hexdigest() != document.sha:
            raise DocumentChanged(f"{document.name} has changed since it was registered")
        parsed = parse(document.name, data)
    yield Step("parsing", 1, 1)
    _enter(library, document, DocumentState.CLEANING, watch)
    with watch.timing("cleaning"):
        text = clean(parsed)
    yield Step("cleaning", 1, 1)
    _enter(library, document, DocumentState.SPLITTING, watch)
    with watch.timing("splitting"):
        texts = split(text, parsed.form)
        if not texts:
            raise DocumentRefused("no_text", "the file contains no words")
        library.write_segments(document, parsed.title, texts)
    yield Step("splitting", 1, 1)


def _embed(library: Library, document: Document, watch: _Watch) -> Iterator[Step]:
    _enter(library, document, DocumentState.INDEXING, watch)
    reached = library.document(document.id)
    yield Step("indexing", reached.indexed, reached.segments)
    while batch := library.pending_segments(document.id, BATCH_SIZE):
        with watch.timing("indexing"):
            vectors = library.embedder.embed([segment.text for segment in batch])
        with library.transaction():
            with watch.timing("indexing"):
                reached = library.commit_batch(document, batch, vectors)
            library.spend(document, watch.take())
        yield Step("indexing", reached.indexed, reached.segments)


def _enter(library: Library, document: Document, state: DocumentState, watch: _Watch) -> None:
    with library.transaction():
        library.enter(document, state)
        library.spend(document, watch.take())
