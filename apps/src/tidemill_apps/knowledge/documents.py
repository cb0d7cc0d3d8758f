"""What is kept of a dataset: its documents, their segments, how far each has come."""

import hashlib
import json
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from tidemill_apps.knowledge.refusal import DocumentRefused, RefusalCode
from tidemill_apps.services.embedder import Embedder, Matrix
from tidemill_apps.services.keywords import Keyed, KeywordRow, SqliteKeywords
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import Found, SqliteVectors, VectorRow

_NAMESPACE: Final = uuid.UUID("6f5a52f0-6f0b-5d0c-9d7c-3f4d9c5d1e60")


class DocumentState(StrEnum):
    """Where a document is on its way; `completed` and `error` end an attempt to index it."""

    WAITING = "waiting"
    PARSING = "parsing"
    CLEANING = "cleaning"
    SPLITTING = "splitting"
    INDEXING = "indexing"
    COMPLETED = "completed"
    ERROR = "error"


class Source(msgspec.Struct, frozen=True):
    """A file to index: where it is, and the name that people see, unique in a dataset."""

    name: str
    path: Path


class Document(msgspec.Struct, frozen=True):
    """A document as of now. `sha` is the SHA-256 of the bytes that it was registered with.

    `indexed` of its `segments` can be found by a search; `seconds` counts all attempts, by stage.
    """

    id: str
    name: str
    path: Path
    sha: str
    state: DocumentState
    title: str
    segments: int
    indexed: int
    seconds: dict[str, float]
    error_code: RefusalCode | None = None
    error_reason: str | None = None


class Segment(msgspec.Struct, frozen=True):
    """A piece of a document; the same text at the same place always has the same id."""

    id: str
    document_id: str
    ordinal: int
    text: str
    sha: str


class Registered(msgspec.Struct, frozen=True):
    """Document ids by what registering found: `new` and `changed` ones wait to be indexed."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


class DocumentChanged(Exception):
    """The document has other bytes by now, or is gone: what was derived from it is void."""


class CountsDiffer(Exception):
    """A document does not have one vector for every segment; indexing it again mends that."""


class UnknownDocument(LookupError):
    """No document of the dataset has this id."""


class Library:
    """One dataset in a SQLite file; its vectors are a collection of the same name and file.

    Segments, vectors, words and a document's state change in one transaction. Every method may
    be repeated, from any thread or process. Opening it with another model than the dataset was
    indexed with raises `VectorsMismatch`.
    """

    def __init__(self, file: SqliteFile, dataset: str, embedder: Embedder) -> None:
        self.dataset = dataset
        self.embedder = embedder
        self._file = file
        self._vectors = SqliteVectors(file)
        self._keywords = SqliteKeywords(file)
        file.run_script(files(__package__).joinpath("documents.sql").read_text("utf-8"))
        self._vectors.ensure(dataset, dim=embedder.dim, model_id=embedder.model_id)

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Make several calls one transaction, with other writes to the same file if need be."""
        return self._file.transaction()

    def register(self, sources: Iterable[Source]) -> Registered:
        """Note the files as documents; the sooner registered content stays until it is replaced.

        A changed file keeps its old segments, findable, until its new ones are written. A file
        that cannot be read becomes a document all the same, whose task will say why.
        """
        sorted_out: dict[str, list[str]] = {"new": [], "changed": [], "unchanged": []}
        hashed = [(source, _sha_of_file(source.path)) for source in sources]
        with self._file.transaction() as connection:
            known = {
                row["id"]: row["sha"]
                for row in connection.execute(
                    "SELECT id, sha FROM document WHERE dataset = ?", (self.dataset,)
                )
            }
            for source, sha in hashed:
                document_id = self.id_of(source.name)
                found = "new" if document_id not in known else "changed"
                if known.get(document_id) == sha:
                    found = "unchanged"
                sorted_out[found].append(document_id)
                if found != "unchanged":
                    self._note(connection, document_id, source, sha)
        return Registered(**{found: tuple(ids) for found, ids in sorted_out.items()})

    def id_of(self, name: str) -> str:
        """Return the id that a document of this name has, or would have."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.dataset}\n{name}"))

    def document(self, document_id: str) -> Document:
        """Return one document; `UnknownDocument` if it is not of this dataset."""
        row = (
            self._file.connection()
            .execute(
                "SELECT * FROM document WHERE id = ? AND dataset = ?", (document_id, self.dataset)
            )
            .fetchone()
        )
        if row is None:
            raise UnknownDocument(f"dataset {self.dataset!r} has no document {document_id}")
        return _document(row)

    def documents(self) -> list[Document]:
        """Return every document of the dataset, by name."""
        rows = self._file.connection().execute(
            "SELECT * FROM document WHERE dataset = ? ORDER BY name", (self.dataset,)
        )
        return [_document(row) for row in rows]

    def enter(self, document: Document, state: DocumentState) -> None:
        """Note that the document is in another state; an earlier error is forgotten."""
        with self._file.transaction() as connection:
            self._change(
                connection,
                document,
                "UPDATE document SET state = ?, error_code = NULL, error_reason = NULL"
                " WHERE id = ? AND sha = ?",
                state,
            )

    def refuse(self, document: Document, refusal: DocumentRefused) -> None:
        """Note why the document cannot be indexed."""
        with self._file.transaction() as connection:
            self._change(
                connection,
                document,
                "UPDATE document SET state = 'error', error_code = ?, error_reason = ?"
                " WHERE id = ? AND sha = ?",
                refusal.code,
                refusal.reason,
            )

    def spend(self, document: Document, seconds: Mapping[str, float]) -> None:
        """Add to the time that stages of this document have taken."""
        with self._file.transaction() as connection:
            spent = Counter(self.document(document.id).seconds)
            spent.update(seconds)
            connection.execute(
                "UPDATE document SET seconds = ? WHERE id = ?", (json.dumps(spent), document.id)
            )

    def write_segments(self, document: Document, title: str, texts: Sequence[str]) -> Document:
        """Make `texts` the document's segments, in one transaction.

        Segments that stay the same keep their vectors; those that are gone lose them. One that has
        lost its vector some other way waits to be indexed again.
        """
        segments = [_segment(document.id, at, text) for at, text in enumerate(texts)]
        with self._file.transaction() as connection:
            self._change(
                connection,
                document,
                "UPDATE document SET title = ?, segments = ? WHERE id = ? AND sha = ?",
                title,
                len(segments),
            )
            kept = [segment.id for segment in segments]
            gone = [
                row["id"]
                for row in connection.execute(
                    "DELETE FROM segment WHERE document_id = ?"
                    " AND id NOT IN (SELECT value FROM json_each(?)) RETURNING id",
                    (document.id, json.dumps(kept)),
                )
            ]
            self._keywords.delete(self.dataset, document.id, keep=kept)
            self._vectors.delete(self.dataset, {"document_id": document.id, "id": gone})
            connection.executemany(
                "INSERT INTO segment (id, document_id, ordinal, text, sha)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                [(s.id, s.document_id, s.ordinal, s.text, s.sha) for s in segments],
            )
            connection.execute(
                "UPDATE segment SET indexed = 0 WHERE document_id = ?"
                " AND id NOT IN (SELECT value FROM json_each(?))",
                (document.id, json.dumps(self._vectors.ids(self.dataset, document.id))),
            )
            _count_indexed(connection, document.id)
        return self.document(document.id)

    def pending_segments(self, document_id: str, limit: int) -> list[Segment]:
        """Return the next segments, in order, that no committed batch contains."""
        rows = self._file.connection().execute(
            "SELECT id, document_id, ordinal, text, sha FROM segment"
            " WHERE document_id = ? AND indexed = 0 ORDER BY ordinal LIMIT ?",
            (document_id, limit),
        )
        return [Segment(**row) for row in rows]

    def commit_batch(
        self, document: Document, segments: Sequence[Segment], vectors: Matrix
    ) -> Document:
        """Keep the segments' vectors and words and move the checkpoint, in one transaction."""
        rows = [
            VectorRow(segment.id, document.id, vector, {"name": document.name})
            for segment, vector in zip(segments, vectors, strict=True)
        ]
        with self._file.transaction() as connection:
            self._change(
                connection, document, "UPDATE document SET state = state WHERE id = ? AND sha = ?"
            )
            self._vectors.upsert(self.dataset, rows)
            self._keywords.put(
                self.dataset, [KeywordRow(s.id, document.id, s.text) for s in segments]
            )
            connection.executemany(
                "UPDATE segment SET indexed = 1 WHERE id = ?", [(s.id,) for s in segments]
            )
            _count_indexed(connection, document.id)
        return self.document(document.id)

    def complete(self, document: Document) -> Document:
        """Count again and end the document's way; `CountsDiffer` if anything is missing."""
        with self._file.transaction() as connection:
            self.enter(document, DocumentState.COMPLETED)
            kept, marked = connection.execute(
                "SELECT count(*), total(indexed) FROM segment WHERE document_id = ?",
                (document.id,),
            ).fetchone()
            vectors = self._vectors.count(self.dataset, {"document_id": document.id})
            expected = self.document(document.id).segments
            if not expected == kept == marked == vectors:
                raise CountsDiffer(
                    f"{document.name}: {expected} segments expected, {kept} kept, "
                    f"{marked:.0f} indexed, {vectors} vectors"
                )
        return self.document(document.id)

    def remove(self, document_id: str) -> int:
        """Delete a document with its segments, words and vectors; answer how many vectors."""
        with self._file.transaction() as connection:
            removed = self._vectors.delete(self.dataset, {"document_id": document_id})
            self._keywords.delete(self.dataset, document_id)
            connection.execute(
                "DELETE FROM document WHERE id = ? AND dataset = ?", (document_id, self.dataset)
            )
        return removed

    def near(self, question: str, k: int) -> list[Found]:
        """Return the `k` segments whose meaning is nearest to the question's."""
        vector = self.embedder.embed([question], kind="query")[0]
        return self._vectors.search(self.dataset, vector, k)

    def keyed(self, question: str, k: int) -> list[Keyed]:
        """Return the `k` segments that share the rarest words with the question."""
        return self._keywords.search(self.dataset, question, k)

    def segments(self, ids: Iterable[str]) -> dict[str, tuple[Segment, str, str]]:
        """Return segments by id, each with its document's name and title."""
        rows = self._file.connection().execute(
            "SELECT segment.id, document_id, ordinal, text, segment.sha, name, title FROM segment"
            " JOIN document ON document.id = document_id"
            " WHERE segment.id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        return {
            row["id"]: (
                Segment(row["id"], row["document_id"], row["ordinal"], row["text"], row["sha"]),
                row["name"],
                row["title"],
            )
            for row in rows
        }

    def _note(
        self, connection: sqlite3.Connection, document_id: str, source: Source, sha: str
    ) -> None:
        connection.execute(
            "INSERT INTO document (id, dataset, name, path, sha, state)"
            " VALUES (?, ?, ?, ?, ?, 'waiting')"
            " ON CONFLICT (id) DO UPDATE SET path = excluded.path, sha = excluded.sha,"
            " state = 'waiting', error_code = NULL, error_reason = NULL, seconds = '{}'",
            (document_id, self.dataset, source.name, str(source.path), sha),
        )

    def _change(
        self, connection: sqlite3.Connection, document: Document, query: str, *values: str | int
    ) -> None:
        """Run an update that ends in `WHERE id = ? AND sha = ?`, the fence against stale work."""
        changed = connection.execute(query, (*values, document.id, document.sha))
        if changed.rowcount == 0:
            raise DocumentChanged(f"{document.name} was changed or removed meanwhile")


def _count_indexed(connection: sqlite3.Connection, document_id: str) -> None:
    connection.execute(
        "UPDATE document SET indexed ="
        " (SELECT count(*) FROM segment WHERE document_id = ?1 AND segment.indexed = 1)"
        " WHERE id = ?1",
        (document_id,),
    )


def _segment(document_id: str, ordinal: int, text: str) -> Segment:
    sha = hashlib.sha256(text.encode()).hexdigest()
    segment_id = uuid.uuid5(uuid.UUID(document_id), f"{ordinal}:{sha}")
    return Segment(str(segment_id), document_id, ordinal, text, sha)


def _document(row: sqlite3.Row) -> Document:
    return Document(
        id=row["id"],
        name=row["name"],
        path=Path(row["path"]),
        sha=row["sha"],
        state=DocumentState(row["state"]),
        title=row["title"],
        segments=row["segments"],
        indexed=row["indexed"],
        seconds=json.loads(row["seconds"]),
        error_code=row["error_code"],
        error_reason=row["error_reason"],
    )


def _sha_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of nothing where it cannot be read."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return hashlib.sha256().hexdigest()
