"""Vectors kept and searched: one contract, in SQLite, Milvus or PostgreSQL.

- values.py: rows, filters, collections, refusals
- store.py: the seam
- conditions.py: a filter sorted out
- checks.py: what every store refuses
- sqlite.py, sqlite_filter.py, matrices.py: a table, searched exactly in memory
- milvus.py, milvus_filter.py: a Milvus server
- postgres.py, postgres_filter.py, postgres_connections.py: PostgreSQL with pgvector
- opening.py: which URLs name which
"""

from tidemill_apps.services.vectors.opening import open_vectors
from tidemill_apps.services.vectors.sqlite import SqliteVectors
from tidemill_apps.services.vectors.store import MOST_FOUND, VectorStore
from tidemill_apps.services.vectors.values import (
    AtMost,
    Collection,
    Filter,
    Found,
    IndexParams,
    Scalar,
    UnknownCollection,
    Unstorable,
    VectorRow,
    VectorsMismatch,
    row_id,
)

__all__ = [
    "MOST_FOUND",
    "AtMost",
    "Collection",
    "Filter",
    "Found",
    "IndexParams",
    "Scalar",
    "SqliteVectors",
    "UnknownCollection",
    "Unstorable",
    "VectorRow",
    "VectorStore",
    "VectorsMismatch",
    "open_vectors",
    "row_id",
]
