"""Documents: written in a step, read over any connection."""

from collections.abc import Iterable, Sequence

import apsw
import msgspec

from tidemill.clock import from_micros
from tidemill.engine import SCHEDULE, Document, Put
from tidemill.engines.sqlite.marks import drop
from tidemill.engines.sqlite.statements import as_json, one, statement
from tidemill.engines.sqlite.step import Step

_documents = msgspec.json.Decoder(list[tuple[str, int, int, str]]).decode

_versions = msgspec.json.Decoder(dict[str, int]).decode


def put(step: Step, puts: Sequence[Put]) -> list[Document | None]:
    """Write or remove documents one by one, unless the version is another."""
    return [_put(step, change) for change in puts]


def _put(step: Step, change: Put) -> Document | None:
    place = (change.kind, change.key)
    version = one(step.on, "document_version", place) or 0
    if change.if_version not in (None, version):
        return None
    at = from_micros(step.now)
    if change.body is None:
        step.on.execute(statement("document_drop"), place)
        if change.kind == SCHEDULE:
            drop(step.on, change.key)
        return Document(change.kind, change.key, 0, b"", at)
    step.on.execute(statement("document_put"), (*place, version + 1, step.now, change.body))
    return Document(change.kind, change.key, version + 1, change.body, at)


def get(on: apsw.Connection, kind: str, keys: Sequence[str]) -> list[Document | None]:
    """Documents by key."""
    text = one(on, "documents_at", (kind, as_json(keys)))
    found = {document.key: document for document in _decoded(kind, text)}
    return [found.get(key) for key in keys]


def versions(on: apsw.Connection, kind: str, keys: Iterable[str]) -> dict[str, int]:
    """The versions of those documents that are there, by key."""
    return _versions(one(on, "document_versions", (kind, as_json(keys))))


def listed(on: apsw.Connection, kind: str, prefix: str) -> list[Document]:
    """All documents of a kind under a prefix, by key."""
    return _decoded(kind, one(on, "documents", (kind, prefix)))


def _decoded(kind: str, text: str) -> list[Document]:
    return [
        Document(kind, key, version, bytes.fromhex(body), from_micros(at))
        for key, version, at, body in _documents(text)
    ]
