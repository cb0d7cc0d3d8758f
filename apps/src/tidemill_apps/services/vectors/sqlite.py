"""Vectors in a SQLite table, searched exactly."""

import json
import sqlite3
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill_apps.services.embedder import Matrix
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors.checks import (
    check_model,
    check_name,
    check_search,
    deletion,
    fields_json,
    fitting,
)
from tidemill_apps.services.vectors.conditions import Condition, conditions
from tidemill_apps.services.vectors.matrices import Held, Matrices
from tidemill_apps.services.vectors.sqlite_filter import sqlite_where
from tidemill_apps.services.vectors.values import (
    Collection,
    Filter,
    Found,
    IndexParams,
    Scalar,
    UnknownCollection,
    Unstorable,
    VectorRow,
)

# What follows is a condition of sqlite_where: constants, names and values only as parameters.
_DELETE: Final = "DELETE FROM vector WHERE "
_COUNT: Final = "SELECT count(*) FROM vector WHERE "
_IDS: Final = "SELECT id FROM vector WHERE "


class SqliteVectors:
    """A `VectorStore` in `file`: exact search, for up to 50,000 vectors in a collection.

    Every verb joins the transaction that its thread has open on `file`. A search after a change
    reads the whole collection (26 ms for 5,000 vectors of 512 numbers); the next ones find it in
    memory (1 ms), in this process up to 256 MiB of collections.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._matrices = Matrices()
        file.run_script(files(__package__).joinpath("sqlite.sql").read_text("utf-8"))

    def ensure(self, name: str, *, dim: int, model_id: str) -> Collection:
        """Make the collection unless it exists."""
        check_name(name)
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT INTO collection (name, dim, model_id) SELECT ?1, ?2, ?3"
                " WHERE NOT EXISTS (SELECT 1 FROM collection_alias WHERE alias = ?1)"
                " ON CONFLICT DO NOTHING",
                (name, dim, model_id),
            )
            found = self._collection(name)
            check_model(found, dim, model_id)
        return found

    def upsert(self, name: str, rows: Sequence[VectorRow]) -> None:
        """Keep all rows or none."""
        with self._file.transaction() as connection:
            collection = self._collection(name)
            connection.executemany(
                "INSERT INTO vector (collection, id, document_id, values_f32, fields)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (collection, id) DO UPDATE SET"
                " document_id = excluded.document_id, values_f32 = excluded.values_f32,"
                " fields = excluded.fields",
                [
                    (
                        collection.name,
                        row.id,
                        row.document_id,
                        row.vector.astype("<f4").tobytes(),
                        fields_json(row.fields),
                    )
                    for row in fitting(collection, rows)
                ],
            )
            _stamp(connection, collection.name)

    def delete(self, name: str, only: Filter) -> int:
        """Remove the rows that pass."""
        condition, values = _where(self._collection(name).name, deletion(only))
        with self._file.transaction() as connection:
            removed = connection.execute(_DELETE + condition, values).rowcount
            if removed:
                _stamp(connection, str(values[0]))
        return removed

    def ids(self, name: str, document_id: str) -> list[str]:
        """Return the ids of a document's rows."""
        # Sorted here: asked for an order, SQLite walks the whole collection by id.
        rows = self._file.connection().execute(
            "SELECT id FROM vector WHERE collection = ? AND document_id = ?",
            (self._collection(name).name, document_id),
        )
        return sorted(row["id"] for row in rows)

    def search(
        self, name: str, vector: NDArray[np.float32], k: int, only: Filter | None = None
    ) -> list[Found]:
        """Return the rows most alike."""
        wanted = conditions(only or {})
        collection = self._collection(name)
        check_search(collection, vector, k)
        held = self._held(collection)
        places = self._places(collection, held, wanted) if wanted else None
        scores = (held.matrix if places is None else held.matrix[places]) @ vector
        best = np.argsort(-scores, kind="stable")[:k]
        scored = {
            held.ids[at if places is None else places[at]]: float(scores[at])
            for at in best.tolist()
        }
        return self._found(collection.name, scored)

    def count(self, name: str, only: Filter | None = None) -> int:
        """Count the rows that pass."""
        condition, values = _where(self._collection(name).name, conditions(only or {}))
        row = self._file.connection().execute(_COUNT + condition, values)
        return int(row.fetchone()[0])

    def collections(self) -> list[Collection]:
        """Return every collection."""
        rows = self._file.connection().execute(
            "SELECT name, dim, model_id FROM collection ORDER BY name"
        )
        return [Collection(**row) for row in rows]

    def drop(self, name: str) -> bool:
        """Remove the collection with its vectors and aliases."""
        with self._file.transaction() as connection:
            dropped = connection.execute(
                "DELETE FROM collection WHERE name = coalesce("
                "(SELECT collection FROM collection_alias WHERE alias = ?1), ?1)",
                (name,),
            )
            return dropped.rowcount > 0

    def point(self, alias: str, name: str) -> None:
        """Let the alias mean the collection."""
        check_name(alias)
        with self._file.transaction() as connection:
            taken = connection.execute("SELECT 1 FROM collection WHERE name = ?", (alias,))
            if taken.fetchone():
                raise Unstorable(f"{alias!r} is a collection itself: choose another alias")
            connection.execute(
                "INSERT INTO collection_alias (alias, collection) VALUES (?, ?)"
                " ON CONFLICT (alias) DO UPDATE SET collection = excluded.collection",
                (alias, self._collection(name).name),
            )

    def target(self, alias: str) -> str:
        """Return the name of the collection that is meant."""
        return self._collection(alias).name

    def rebuild(self, name: str, index: IndexParams) -> Collection:
        """Do nothing: an exact search has no index."""
        del index
        return self._collection(name)

    def close(self) -> None:
        """Close the file's connections, those of its other users too, and forget the matrices."""
        self._matrices.clear()
        self._file.close()

    def _collection(self, name: str) -> Collection:
        row = (
            self._file.connection()
            .execute(
                "SELECT name, dim, model_id FROM collection WHERE name = coalesce("
                "(SELECT collection FROM collection_alias WHERE alias = ?1), ?1)",
                (name,),
            )
            .fetchone()
        )
        if row is None:
            raise UnknownCollection(f"there is no collection {name!r}")
        return Collection(**row)

    def _held(self, collection: Collection) -> Held:
        connection = self._file.connection()
        # The stamp is read before the vectors: what changes between shows them as out of date.
        stamp = connection.execute(
            "SELECT stamp FROM vector_stamp WHERE collection = ?", (collection.name,)
        ).fetchone()
        if stamp is None:
            return self._load(collection, 0)
        return self._matrices.get(
            collection.name, stamp[0], lambda: self._load(collection, stamp[0])
        )

    def _load(self, collection: Collection, stamp: int) -> Held:
        rows = (
            self._file.connection()
            .execute(
                "SELECT id, values_f32 FROM vector WHERE collection = ? ORDER BY rowid",
                (collection.name,),
            )
            .fetchall()
        )
        ids = [row["id"] for row in rows]
        matrix = _matrix([row["values_f32"] for row in rows], collection.dim)
        return Held(stamp, matrix, ids, {row_id: at for at, row_id in enumerate(ids)})

    def _places(self, collection: Collection, held: Held, wanted: Sequence[Condition]) -> list[int]:
        condition, values = _where(collection.name, wanted)
        rows = self._file.connection().execute(_IDS + condition, values)
        return sorted(held.places[row["id"]] for row in rows if row["id"] in held.places)

    def _found(self, name: str, scored: dict[str, float]) -> list[Found]:
        """Return what was scored, without rows that were removed meanwhile."""
        rows = self._file.connection().execute(
            "SELECT id, document_id, fields FROM vector"
            " WHERE collection = ? AND id IN (SELECT value FROM json_each(?))",
            (name, json.dumps(list(scored))),
        )
        kept = {row["id"]: row for row in rows}
        return [
            Found(row_id, kept[row_id]["document_id"], score, json.loads(kept[row_id]["fields"]))
            for row_id, score in scored.items()
            if row_id in kept
        ]


def _where(name: str, wanted: Sequence[Condition]) -> tuple[str, list[Scalar]]:
    condition, values = sqlite_where(wanted)
    return f"collection = ? AND {condition}", [name, *values]


def _stamp(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(
        "INSERT INTO vector_stamp (collection, stamp) VALUES (?, random())"
        " ON CONFLICT (collection) DO UPDATE SET stamp = excluded.stamp",
        (name,),
    )


def _matrix(blobs: list[bytes], dim: int) -> Matrix:
    return np.frombuffer(b"".join(blobs), dtype="<f4").reshape(len(blobs), dim)
