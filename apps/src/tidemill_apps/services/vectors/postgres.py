"""Vectors in PostgreSQL with the extension pgvector."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from tidemill import Permanent
from tidemill_apps.services.postgres_connections import Connection, PostgresConnections
from tidemill_apps.services.vectors.checks import (
    check_model,
    check_name,
    check_search,
    deletion,
    fields_json,
    fitting,
)
from tidemill_apps.services.vectors.conditions import conditions
from tidemill_apps.services.vectors.postgres_filter import postgres_where
from tidemill_apps.services.vectors.values import (
    Collection,
    Filter,
    Found,
    IndexParams,
    UnknownCollection,
    Unstorable,
    VectorRow,
)

_INDEXABLE: Final = 2000  # pgvector's limit for an index over `vector`
_MOST_CANDIDATES: Final = 1000  # pgvector's limit of hnsw.ef_search
_LOCK: Final = 0x71DE_417C  # one number for all who make, drop or point collections


class PostgresVectors:
    """A `VectorStore` in tables of a PostgreSQL database, with HNSW indexes of the dot product.

    Vectors of more than 2,000 numbers are searched exactly, without an index. The user needs the
    right to create tables, and the extension: `CREATE EXTENSION vector`, by a superuser.
    """

    def __init__(self, url: str) -> None:
        self._connections = PostgresConnections(url)
        self._preparing = threading.Lock()
        self._prepared = False

    def ensure(self, name: str, *, dim: int, model_id: str) -> Collection:
        """Make the collection with its table and indexes, under a lock."""
        check_name(name)
        with self._transaction(name) as connection:
            _lock(connection)
            if _find(connection, name) is None:
                _create(connection, name, dim, model_id)
            _, found = _known(connection, name)
            check_model(found, dim, model_id)
            return found

    def upsert(self, name: str, rows: Sequence[VectorRow]) -> None:
        """Keep all rows or none."""
        with self._transaction(name) as connection:
            table, collection = _known(connection, name)
            fit = fitting(collection, rows)
            columns = zip(
                *((r.id, r.document_id, fields_json(r.fields), _literal(r.vector)) for r in fit),
                strict=True,
            )
            query = sql.SQL(
                "INSERT INTO {} (id, document_id, fields, embedding)"
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::vector[])"
                " ON CONFLICT (id) DO UPDATE SET document_id = excluded.document_id,"
                " fields = excluded.fields, embedding = excluded.embedding"
            )
            if fit:
                connection.execute(query.format(table), [list(column) for column in columns])

    def delete(self, name: str, only: Filter) -> int:
        """Remove the rows that pass."""
        condition, values = postgres_where(deletion(only))
        with self._transaction(name) as connection:
            table, _ = _known(connection, name)
            query = sql.SQL("DELETE FROM {} WHERE {}").format(table, condition)
            return connection.execute(query, values).rowcount

    def ids(self, name: str, document_id: str) -> list[str]:
        """Return the ids of a document's rows."""
        with self._transaction(name) as connection:
            table, _ = _known(connection, name)
            query = sql.SQL("SELECT id FROM {} WHERE document_id = %s ORDER BY id").format(table)
            return [row[0] for row in connection.execute(query, [document_id])]

    def search(
        self, name: str, vector: NDArray[np.float32], k: int, only: Filter | None = None
    ) -> list[Found]:
        """Return the rows most alike."""
        condition, values = postgres_where(conditions(only or {}))
        with self._transaction(name) as connection:
            table, collection = _known(connection, name)
            check_search(collection, vector, k)
            connection.execute(
                "SELECT set_config('hnsw.iterative_scan', 'strict_order', true),"
                " set_config('hnsw.ef_search', %s, true)",
                [str(min(max(64, k), _MOST_CANDIDATES))],
            )
            query = sql.SQL(
                "SELECT id, document_id, -(embedding <#> %s::vector), fields FROM {} WHERE {}"
                " ORDER BY embedding <#> %s::vector LIMIT %s"
            ).format(table, condition)
            literal = _literal(vector)
            rows = connection.execute(query, [literal, *values, literal, k]).fetchall()
            if len(rows) < k and len(rows) < _count(connection, table, condition, values):
                # The walk along the index ends after 20,000 rows, whether they pass or not.
                connection.execute("SELECT set_config('enable_indexscan', 'off', true)")
                rows = connection.execute(query, [literal, *values, literal, k]).fetchall()
            return [Found(*row) for row in rows]

    def count(self, name: str, only: Filter | None = None) -> int:
        """Count the rows that pass."""
        condition, values = postgres_where(conditions(only or {}))
        with self._transaction(name) as connection:
            table, _ = _known(connection, name)
            return _count(connection, table, condition, values)

    def collections(self) -> list[Collection]:
        """Return every collection of this schema."""
        with self._transaction("") as connection:
            query = "SELECT name, dim, model_id, m, ef_construction FROM tidemill_vectors"
            found = [_collection(*row) for row in connection.execute(query)]
        return sorted(found, key=lambda collection: collection.name)

    def drop(self, name: str) -> bool:
        """Remove the collection with its table and aliases."""
        with self._transaction(name) as connection:
            _lock(connection)
            found = _find(connection, name)
            if found is None:
                return False
            connection.execute(sql.SQL("DROP TABLE {}").format(_table(found[0])))
            connection.execute("DELETE FROM tidemill_vectors WHERE id = %s", [found[0]])
            return True

    def point(self, alias: str, name: str) -> None:
        """Let the alias mean the collection."""
        check_name(alias)
        with self._transaction(name) as connection:
            _lock(connection)
            taken = _one(
                connection,
                "SELECT EXISTS (SELECT 1 FROM tidemill_vectors WHERE name = %s)",
                [alias],
            )
            if taken[0]:
                raise Unstorable(f"{alias!r} is a collection itself: choose another alias")
            found = _find(connection, name)
            if found is None:
                raise _unknown(name)
            connection.execute(
                "INSERT INTO tidemill_vectors_alias (alias, collection) VALUES (%s, %s)"
                " ON CONFLICT (alias) DO UPDATE SET collection = excluded.collection",
                [alias, found[0]],
            )

    def target(self, alias: str) -> str:
        """Return the name of the collection that is meant."""
        with self._transaction(alias) as connection:
            return _known(connection, alias)[1].name

    def rebuild(self, name: str, index: IndexParams) -> Collection:
        """Build a second index, then put it in the place of the first; searches go on meanwhile."""
        with self._transaction(name) as connection:
            _lock(connection)
            found = _find(connection, name)
            if found is None:
                raise _unknown(name)
            number, collection = found
            if collection.index is None:
                return collection
            _build(connection, number, index)
            return msgspec.structs.replace(collection, index=index)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._connections.close()

    @contextmanager
    def _transaction(self, name: str) -> Iterator[Connection]:
        self._prepare()
        try:
            with self._connections.transaction() as connection:
                yield connection
        except psycopg.errors.UndefinedTable as error:  # dropped since its name was looked up
            raise _unknown(name) from error

    def _prepare(self) -> None:
        """Make the tables that every collection needs, once for each store."""
        with self._preparing:
            if self._prepared:
                return
            with self._connections.transaction() as connection:
                _lock(connection)
                _create_extension(connection)
                connection.execute(files(__package__).joinpath("postgres.sql").read_text("utf-8"))
            self._prepared = True


def _create_extension(connection: Connection) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.errors.FeatureNotSupported as error:
        raise Permanent(
            f"PostgreSQL has no pgvector: install it beside the server ({error})",
            code="not_supported",
        ) from error


def _lock(connection: Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _create(connection: Connection, name: str, dim: int, model_id: str) -> None:
    index = IndexParams() if dim <= _INDEXABLE else None
    number = _one(
        connection,
        "INSERT INTO tidemill_vectors (name, dim, model_id, m, ef_construction)"
        " VALUES (%s, %s, %s, NULL, NULL) RETURNING id",
        [name, dim, model_id],
    )[0]
    table = _table(number)
    connection.execute(
        sql.SQL(
            'CREATE TABLE {} (id text COLLATE "C" PRIMARY KEY,'
            ' document_id text COLLATE "C" NOT NULL, fields jsonb NOT NULL,'
            " embedding vector({}) NOT NULL)"
        ).format(table, sql.Literal(dim))
    )
    connection.execute(sql.SQL("CREATE INDEX ON {} (document_id)").format(table))
    connection.execute(
        sql.SQL("CREATE INDEX ON {} USING gin (fields jsonb_path_ops)").format(table)
    )
    if index is not None:
        _build(connection, number, index)


def _build(connection: Connection, number: int, index: IndexParams) -> None:
    table, name = _table(number), f"tidemill_vectors_{number}_hnsw"
    connection.execute(
        sql.SQL(
            "CREATE INDEX {} ON {} USING hnsw (embedding vector_ip_ops)"
            " WITH (m = {}, ef_construction = {})"
        ).format(
            sql.Identifier(f"{name}_new"),
            table,
            sql.Literal(index.m),
            sql.Literal(index.ef_construction),
        )
    )
    connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(name)))
    connection.execute(
        sql.SQL("ALTER INDEX {} RENAME TO {}").format(
            sql.Identifier(f"{name}_new"), sql.Identifier(name)
        )
    )
    connection.execute(
        "UPDATE tidemill_vectors SET m = %s, ef_construction = %s WHERE id = %s",
        [index.m, index.ef_construction, number],
    )


def _find(connection: Connection, name: str) -> tuple[int, Collection] | None:
    row = connection.execute(
        "SELECT id, name, dim, model_id, m, ef_construction FROM tidemill_vectors"
        " WHERE name = %(name)s OR id ="
        " (SELECT collection FROM tidemill_vectors_alias WHERE alias = %(name)s)",
        {"name": name},
    ).fetchone()
    return None if row is None else (row[0], _collection(*row[1:]))


def _known(connection: Connection, name: str) -> tuple[sql.Identifier, Collection]:
    found = _find(connection, name)
    if found is None:
        raise _unknown(name)
    return _table(found[0]), found[1]


def _unknown(name: str) -> UnknownCollection:
    return UnknownCollection(f"there is no collection {name!r}")


def _table(number: int) -> sql.Identifier:
    return sql.Identifier(f"tidemill_vectors_{number}")


def _collection(
    name: str, dim: int, model_id: str, m: int | None, ef_construction: int | None
) -> Collection:
    index = None if m is None or ef_construction is None else IndexParams(m, ef_construction)
    return Collection(name, dim, model_id, index)


def _count(
    connection: Connection, table: sql.Identifier, condition: sql.Composable, values: list[object]
) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table, condition)
    return int(_one(connection, query, values)[0])


def _one(connection: Connection, query: Any, values: list[Any]) -> tuple[Any, ...]:
    row = connection.execute(query, values).fetchone()
    assert row is not None, "the query answers exactly one row"
    return row


def _literal(vector: NDArray[np.float32]) -> str:
    return json.dumps(vector.tolist())
