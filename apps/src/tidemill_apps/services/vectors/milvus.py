"""Vectors in Milvus, or in its small server `milvus-lite server`."""

import hashlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import grpc
import msgspec
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException
from pymilvus.client.types import LoadState

from tidemill_apps.services.errors import milvus_error, unreachable
from tidemill_apps.services.vectors.checks import (
    ID_BYTES,
    check_model,
    check_name,
    check_search,
    deletion,
    fitting,
)
from tidemill_apps.services.vectors.conditions import OneOf, conditions
from tidemill_apps.services.vectors.milvus_filter import milvus_expression
from tidemill_apps.services.vectors.values import (
    Collection,
    Filter,
    Found,
    IndexParams,
    UnknownCollection,
    Unstorable,
    VectorRow,
)

PREFIX: Final = "tidemill_"
"""Collections and aliases of other names in the same database are left alone."""

_SECONDS: Final = 30.0
_BUILD_SECONDS: Final = 1800.0
_BATCH: Final = 500  # rows of 64 KiB at most: a request stays under Milvus' 64 MiB
_NAME, _MODEL = "tidemill.name", "tidemill.model_id"
_UNKNOWN: Final = frozenset({100, 1600})
_CONNECT_FAILED: Final = 2  # pymilvus' own; a Milvus that says 2 is unavailable as well
_UNEXPECTED: Final = 1
_RATE_LIMITED: Final = 8
_FLUSHES: Final = 5
_RANKED: Final = 4096  # rows that a search may fetch and rank itself


class MilvusVectors:
    """A `VectorStore` in a Milvus database, with an HNSW index of the dot product.

    Reads are strongly consistent: what an upsert has kept, the next search finds. A milvus-lite
    server that was started again has loaded nothing, and answers `Unavailable` until `ensure` does;
    it does the same when two processes make a collection or point an alias at one moment.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = threading.Lock()
        self._arranging = threading.Lock()  # milvus-lite loses files of two who do so at once
        self._opened: tuple[int, MilvusClient] | None = None

    def ensure(self, name: str, *, dim: int, model_id: str) -> Collection:
        """Make the collection, its index included, and load it."""
        check_name(name)
        with self._arranging, self._client(name) as client:
            if not client.has_collection(_physical(name), timeout=_SECONDS):
                _create(client, name, dim, model_id)
            collection = _collection(client, name)
            check_model(collection, dim, model_id)
            return _searchable(client, collection)

    def upsert(self, name: str, rows: Sequence[VectorRow]) -> None:
        """Keep the rows, 500 at once."""
        with self._client(name) as client:
            data = [
                {
                    "id": row.id,
                    "document_id": row.document_id,
                    "fields": row.fields,
                    "vector": row.vector.tolist(),
                }
                for row in fitting(_collection(client, name), rows)
            ]
            for start in range(0, len(data), _BATCH):
                client.upsert(_physical(name), data[start : start + _BATCH], timeout=_SECONDS)
            if data:
                _flush(client, _physical(name))

    def delete(self, name: str, only: Filter) -> int:
        """Remove the rows that pass; the answer counts those that passed just before."""
        expression = milvus_expression(deletion(only))
        with self._client(name) as client:
            removed = _count(client, name, expression)
            if removed:
                client.delete(_physical(name), filter=expression, timeout=_SECONDS)
            return removed

    def ids(self, name: str, document_id: str) -> list[str]:
        """Return the ids of a document's rows."""
        expression = milvus_expression([OneOf("document_id", [document_id], [], [])])
        with self._client(name) as client:
            rows = client.query(
                _physical(name), filter=expression, output_fields=["id"], timeout=_SECONDS
            )
            return sorted(row["id"] for row in rows)

    def search(
        self, name: str, vector: NDArray[np.float32], k: int, only: Filter | None = None
    ) -> list[Found]:
        """Return the rows most alike."""
        expression = milvus_expression(conditions(only or {}))
        with self._client(name) as client:
            check_search(_collection(client, name), vector, k)
            found = _nearest(client, name, vector, k, expression)
            if len(found) < k and len(found) < _count(client, name, expression) <= _RANKED:
                return _ranked(client, name, vector, k, expression)
            return found

    def count(self, name: str, only: Filter | None = None) -> int:
        """Count the rows that pass."""
        with self._client(name) as client:
            return _count(client, name, milvus_expression(conditions(only or {})))

    def collections(self) -> list[Collection]:
        """Return every collection that a `MilvusVectors` made in this database."""
        with self._client("") as client:
            names = client.list_collections(timeout=_SECONDS)
            described = [
                client.describe_collection(name, timeout=_SECONDS)
                for name in names
                if name.startswith(PREFIX)
            ]
            ours = [_described(one) for one in described if _NAME in one["properties"]]
            indexed = [_indexed(client, collection) for collection in ours]
        return sorted(indexed, key=lambda collection: collection.name)

    def drop(self, name: str) -> bool:
        """Remove the aliases, then the collection; cut short, the collection is still there."""
        with self._arranging, self._client(name) as client:
            if not client.has_collection(_physical(name), timeout=_SECONDS):
                return False
            physical = _physical(_collection(client, name).name)
            listed = client.list_aliases(collection_name=physical, timeout=_SECONDS)
            for alias in listed["aliases"]:
                client.drop_alias(alias, timeout=_SECONDS)
            client.drop_collection(physical, timeout=_SECONDS)
            return True

    def point(self, alias: str, name: str) -> None:
        """Let the alias mean the collection."""
        check_name(alias)
        with self._arranging, self._client(name) as client:
            physical = _physical(_collection(client, name).name)
            if _physical(alias) in client.list_collections(timeout=_SECONDS):
                raise Unstorable(f"{alias!r} is a collection itself: choose another alias")
            if _physical(alias) not in _aliases(client):
                try:
                    client.create_alias(physical, _physical(alias), timeout=_SECONDS)
                except MilvusException:
                    if _physical(alias) not in _aliases(client):
                        raise
                else:
                    return
            client.alter_alias(physical, _physical(alias), timeout=_SECONDS)

    def target(self, alias: str) -> str:
        """Return the name of the collection that is meant."""
        with self._client(alias) as client:
            return _collection(client, alias).name

    def rebuild(self, name: str, index: IndexParams) -> Collection:
        """Release the collection, build its index anew, load it; repeat what was cut short."""
        with self._client(name) as client:
            collection = _collection(client, name)
            physical = _physical(collection.name)
            client.release_collection(physical, timeout=_SECONDS)
            if _index(client, physical) is not None:
                client.drop_index(physical, "vector", timeout=_SECONDS)
            _build(client, physical, index, wait=True)
            return _searchable(client, collection)

    def close(self) -> None:
        """Close the connection."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    @contextmanager
    def _client(self, name: str) -> Iterator[MilvusClient]:
        """Lend this process' client, and raise what its errors mean to a task."""
        try:
            yield self._open()
        except MilvusException as error:
            if error.code in _UNKNOWN:
                raise UnknownCollection(f"there is no collection {name!r}") from error
            if not isinstance(error.code, int) or error.code == _CONNECT_FAILED:
                raise unreachable("Milvus", error) from error
            raise milvus_error(error.code, error.message) from error
        except grpc.RpcError as error:
            raise unreachable("Milvus", error) from error

    def _open(self) -> MilvusClient:
        with self._opening:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = (os.getpid(), _connect(self._url))
            return self._opened[1]


def _connect(url: str) -> MilvusClient:
    parts = urlsplit(url)
    scheme = "https" if parts.scheme == "https" else "http"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return MilvusClient(
        f"{scheme}://{host}:{parts.port or 19530}",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db_name=parts.path.strip("/"),
        timeout=_SECONDS,
        dedicated=True,  # a shared connection would be closed under another store of this process
    )


def _physical(name: str) -> str:
    """What Milvus calls a collection or an alias: letters, digits and _, at most 255.

    The readable part is for people; the hash keeps names apart.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "_", name)[:100]
    return f"{PREFIX}{readable}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _create(client: MilvusClient, name: str, dim: int, model_id: str) -> None:
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=ID_BYTES)
    schema.add_field("document_id", DataType.VARCHAR, max_length=ID_BYTES)
    schema.add_field("fields", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
    try:
        client.create_collection(
            _physical(name),
            schema=schema,
            properties={_NAME: name, _MODEL: model_id},
            consistency_level="Strong",
            timeout=_SECONDS,
        )
    except MilvusException:
        if not client.has_collection(_physical(name), timeout=_SECONDS):
            raise  # else another process made it meanwhile


def _build(client: MilvusClient, physical: str, index: IndexParams, *, wait: bool) -> None:
    # MilvusClient makes one entry of each item of params, and milvus-lite reads one named "params".
    built = {"params": {"M": index.m, "efConstruction": index.ef_construction}}
    params = client.prepare_index_params()
    params.add_index(
        "vector", index_type="HNSW", index_name="vector", metric_type="IP", params=built
    )
    client.create_index(physical, params, timeout=_BUILD_SECONDS, sync=wait)


def _searchable(client: MilvusClient, collection: Collection) -> Collection:
    """Do what is missing of building the index and loading the collection."""
    physical = _physical(collection.name)
    if _index(client, physical) is None:
        try:
            _build(client, physical, IndexParams(), wait=False)  # loading waits for it
        except MilvusException:
            if _index(client, physical) is None:
                raise  # else another process built it meanwhile
    if client.get_load_state(physical, timeout=_SECONDS)["state"] != LoadState.Loaded:
        client.load_collection(physical, timeout=_BUILD_SECONDS)
    return _indexed(client, collection)


def _collection(client: MilvusClient, name: str) -> Collection:
    return _described(client.describe_collection(_physical(name), timeout=_SECONDS))


def _described(described: dict[str, Any]) -> Collection:
    """Read what `_create` wrote."""
    dims = [field["params"]["dim"] for field in described["fields"] if field["name"] == "vector"]
    properties = described["properties"]
    return Collection(properties[_NAME], int(dims[0]), properties[_MODEL])


def _indexed(client: MilvusClient, collection: Collection) -> Collection:
    return msgspec.structs.replace(collection, index=_index(client, _physical(collection.name)))


def _index(client: MilvusClient, physical: str) -> IndexParams | None:
    if not client.list_indexes(physical, "vector", timeout=_SECONDS):
        return None
    described = client.describe_index(physical, "vector", timeout=_SECONDS)
    built = {**described, **described.get("params", {})}  # servers answer in either form
    return IndexParams(int(built["M"]), int(built["efConstruction"]))


def _aliases(client: MilvusClient) -> list[str]:
    return list(client.list_aliases(timeout=_SECONDS)["aliases"])


def _nearest(
    client: MilvusClient, name: str, vector: NDArray[np.float32], k: int, expression: str
) -> list[Found]:
    hits = client.search(
        _physical(name),
        data=[vector.tolist()],
        limit=k,
        filter=expression,
        output_fields=["document_id", "fields"],
        search_params={"metric_type": "IP", "params": {"ef": max(64, k)}},
        timeout=_SECONDS,
    )[0]
    return [
        Found(
            hit["id"],
            hit["entity"]["document_id"],
            float(hit["distance"]),
            hit["entity"]["fields"],
        )
        for hit in hits
    ]


def _ranked(
    client: MilvusClient, name: str, vector: NDArray[np.float32], k: int, expression: str
) -> list[Found]:
    """Search exactly: of rows that few others resemble, or few pass with, a graph loses some.

    Of 3,000 rows 20 passed a filter, and milvus-lite found 11 of them.
    """
    rows = client.query(
        _physical(name),
        filter=expression,
        output_fields=["id", "document_id", "fields", "vector"],
        limit=_RANKED,
        timeout=_SECONDS,
    )
    scores = np.array([row["vector"] for row in rows], np.float32) @ vector
    best = np.argsort(-scores, kind="stable")[:k]
    return [
        Found(rows[at]["id"], rows[at]["document_id"], float(scores[at]), rows[at]["fields"])
        for at in best.tolist()
    ]


def _count(client: MilvusClient, name: str, expression: str) -> int:
    counted = client.query(
        _physical(name), filter=expression, output_fields=["count(*)"], timeout=_SECONDS
    )
    return int(counted[0]["count(*)"])


def _flush(client: MilvusClient, physical: str) -> None:
    """Seal what was upserted: milvus-lite searches it 10 times faster then.

    Milvus has it safe in its log already, and refuses to flush more than once in 10 s. Of two that
    flush at once milvus-lite 3.2.2 may answer one with an error ("current_seq is monotonic"), which
    is gone when the other one is done.
    """
    for left in reversed(range(_FLUSHES)):
        try:
            client.flush(physical, timeout=_SECONDS, retry_on_rate_limit=False)
        except MilvusException as error:
            if error.code == _RATE_LIMITED:
                return
            if error.code != _UNEXPECTED or not left:
                raise
        else:
            return
