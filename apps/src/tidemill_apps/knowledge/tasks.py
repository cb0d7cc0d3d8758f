"""The tasks: a folder and all its documents, one document, one question."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from tidemill import Context, Permanent, Retry, RetryPolicy, exponential
from tidemill_apps.knowledge.app import app, library
from tidemill_apps.knowledge.corpus import folder_documents
from tidemill_apps.knowledge.documents import (
    DocumentChanged,
    DocumentState,
    Library,
    Source,
    UnknownDocument,
)
from tidemill_apps.knowledge.indexing import STEPS, index_document
from tidemill_apps.knowledge.refusal import DocumentRefused
from tidemill_apps.knowledge.search import Passage, search

__all__ = [
    "IndexedDocument",
    "IndexedFolder",
    "Refused",
    "app",
    "document_indexing_task",
    "index_folder_task",
    "register_folder_task",
    "search_task",
]

RETRY: Final = RetryPolicy(4, exponential(1, cap=60, jitter=True))


class IndexedDocument(msgspec.Struct, frozen=True):
    """A document that is complete.

    `embedded` of its `segments` were new to the attempt that completed it; `seconds` counts all
    attempts, by stage.
    """

    name: str
    segments: int
    embedded: int
    seconds: dict[str, float]


class Refused(msgspec.Struct, frozen=True):
    """A document that cannot be indexed as it is; `code` is for programs."""

    name: str
    code: str
    reason: str


class IndexedFolder(msgspec.Struct, frozen=True):
    """What became of a folder: `documents` are complete, with `segments` in all.

    `embedded` of these were new, the others had been indexed before.
    `unfinished` names documents whose task failed or was cancelled though they could be indexed.
    """

    documents: int
    segments: int
    embedded: int
    refused: tuple[Refused, ...]
    unfinished: tuple[str, ...]


@app.task(name="knowledge.index_folder_task", retry=RETRY, unique="folder:{folder}")
def index_folder_task(ctx: Context, folder: str) -> IndexedFolder:
    """Index every readable file below `folder` (an absolute path), one task for each.

    Documents that are refused are reported and stop nothing. What is indexed already and has not
    changed is only checked.
    """
    (ids,) = ctx.block_on(ctx.gather(register_folder_task.call(folder)))
    calls = [document_indexing_task.call(document_id) for document_id in ids or ()]
    results = ctx.block_on(ctx.gather(*calls, fail=False))
    return _report(ctx.use(library), ids or (), results)


@app.task(name="knowledge.register_folder_task", retry=RETRY, timeout=timedelta(minutes=5))
def register_folder_task(ctx: Context, folder: str) -> tuple[str, ...]:
    """Make the library's documents below `folder` those that are there; answer their ids.

    A document is named by its path. It is a task of its own so that its answer stays the same
    however often the task that waits for it begins anew.
    """
    if not Path(folder).is_dir():
        raise Permanent(f"{folder} is not a folder", code="missing")
    sources = [Source(str(source.path), source.path) for source in folder_documents(Path(folder))]
    shelf = ctx.use(library)
    shelf.register(sources)
    names = {source.name for source in sources}
    for document in shelf.documents():
        if document.path.is_relative_to(folder) and document.name not in names:
            shelf.remove(document.id)
    return tuple(shelf.id_of(source.name) for source in sources)


@app.task(
    name="knowledge.document_indexing_task",
    retry=RETRY,
    timeout=timedelta(minutes=25),
    unique="index:{document_id}",
    steps=STEPS,
)
def document_indexing_task(ctx: Context, document_id: str) -> IndexedDocument:
    """Index one document of the library; each batch that is done stays done.

    A document that cannot be indexed fails with the reason at once. One that changes meanwhile is
    registered again, and the next attempt indexes what it says now.
    """
    shelf = ctx.use(library)
    try:
        document = shelf.document(document_id)
    except UnknownDocument as unknown:
        raise Permanent(str(unknown), code="unknown_document") from None
    ctx.step("parsing", 0, 1, document.name)
    before = None
    try:
        for step in index_document(shelf, document_id):
            ctx.step(step.name, step.done, step.total, document.name)
            if step.name == "indexing" and before is None:
                before = step.done
            if ctx.should_stop:
                raise Retry(reason=f"stopped after {step.name} {step.done}/{step.total}")
    except DocumentRefused as refusal:
        raise Permanent(f"{document.name}: {refusal.reason}", code=refusal.code) from None
    except DocumentChanged as changed:
        _register_again(shelf, document_id)
        raise Retry(after=0, reason=str(changed)) from changed
    document = shelf.document(document_id)
    embedded = document.segments - (before or 0)
    return IndexedDocument(document.name, document.segments, embedded, document.seconds)


@app.task(name="knowledge.search_task", queue="search", priority=9, timeout=60)
def search_task(ctx: Context, question: str, k: int = 3) -> list[Passage]:
    """Answer a question with the `k` best passages of the library, best first."""
    return search(ctx.use(library), question, k)


def _register_again(shelf: Library, document_id: str) -> None:
    """Take the bytes that the file has now, unless the document was removed meanwhile."""
    with shelf.transaction():
        try:
            document = shelf.document(document_id)
        except UnknownDocument:
            return
        shelf.register([Source(document.name, document.path)])


def _report(
    shelf: Library, ids: Sequence[str], results: Sequence[IndexedDocument | None]
) -> IndexedFolder:
    complete = [result for result in results if result is not None]
    kept = {document.id: document for document in shelf.documents()}
    others = [
        kept.get(document_id)
        for document_id, result in zip(ids, results, strict=True)
        if result is None
    ]
    return IndexedFolder(
        documents=len(complete),
        segments=sum(result.segments for result in complete),
        embedded=sum(result.embedded for result in complete),
        refused=tuple(
            Refused(document.name, document.error_code, document.error_reason or "")
            for document in others
            if document is not None and document.error_code is not None
        ),
        unfinished=tuple(
            document.name
            for document in others
            if document is not None and document.state is not DocumentState.ERROR
        ),
    )
