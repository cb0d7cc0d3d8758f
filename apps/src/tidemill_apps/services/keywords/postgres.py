"""Search by words in PostgreSQL: an inverted index in tables of its own, and Okapi BM25.

Words are made here, since PostgreSQL's text search knows no Chinese, and stand in a table rather
than in `tsvector`s under a GIN index: those take half the space, but they do not tell how rare a
word is without a visit to every passage, and a question among 22,000 passages took 20 to 150 ms
instead of 2 to 37.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Final

from psycopg import sql
from psycopg.types.json import Jsonb

from tidemill_apps.services.keywords.asked import rarities
from tidemill_apps.services.keywords.contract import Keyed, KeywordRow
from tidemill_apps.services.keywords.words import words
from tidemill_apps.services.postgres_connections import Connection, PostgresConnections
from tidemill_apps.services.vectors import Filter
from tidemill_apps.services.vectors.conditions import conditions
from tidemill_apps.services.vectors.postgres_filter import postgres_where

_SCHEMA_LOCK: Final = 0x7469_6465_6B65_7977
"""Of processes that make the tables at once."""

# Rows are locked in the order of their ids, so that two writers of the same ones do not deadlock.
_PUT: Final = """
INSERT INTO keyword_passage (collection, id, document_id, words, fields, text)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::integer[], %s::jsonb[], %s::text[])
    AS row (id, document_id, words, fields, text) ORDER BY id
ON CONFLICT (collection, id) DO UPDATE SET document_id = excluded.document_id,
    words = excluded.words, fields = excluded.fields, text = excluded.text
RETURNING id, number
"""
_POST: Final = """
INSERT INTO keyword_posting (collection, word, passage, occurrences, words)
SELECT %s, * FROM unnest(%s::text[], %s::bigint[], %s::integer[], %s::integer[])
"""
# Okapi BM25 (Robertson and Zaragoza, 2009) with the usual k1 = 1.2 and b = 0.75.
_BM25: Final = """
SELECT id, document_id, score
FROM (
    SELECT posting.passage,
        sum(asked.rarity * posting.occurrences * 2.2 / (posting.occurrences
            + 1.2 * (0.25 + 0.75 * posting.words / %s))) AS score
    FROM unnest(%s::text[], %s::float8[]) AS asked (word, rarity)
    JOIN keyword_posting AS posting ON posting.collection = %s AND posting.word = asked.word
    GROUP BY posting.passage
) AS scored JOIN keyword_passage ON number = passage
WHERE {}
ORDER BY score DESC, id COLLATE "C" LIMIT %s
"""


class PostgresKeywords:
    """A `KeywordIndex` in tables of its own in the database that `url` names.

    The server is first asked when a verb is, which makes the tables; a verb raises `Unavailable`
    when it cannot be reached, and `Permanent` when the user may not do it.
    """

    def __init__(self, url: str) -> None:
        self._connections = PostgresConnections(url)
        self._prepared = False

    def put(self, name: str, rows: Sequence[KeywordRow]) -> None:
        """Keep all rows or none."""
        last = {row.id: row for row in rows}
        counted = {row.id: Counter(words(row.text)) for row in last.values()}
        with self._transaction() as connection:
            _put(connection, name, list(last.values()), counted)

    def delete(self, name: str, document_id: str, *, keep: Collection[str] = ()) -> int:
        """Remove a document's passages but those to keep."""
        with self._transaction() as connection:
            return connection.execute(
                "DELETE FROM keyword_passage"
                " WHERE collection = %s AND document_id = %s AND id <> ALL (%s)",
                (name, document_id, list(keep)),
            ).rowcount

    def search(self, name: str, question: str, k: int, only: Filter | None = None) -> list[Keyed]:
        """Return the passages that answer best by their words."""
        condition, values = postgres_where(conditions(only or {}))
        best = sql.SQL(_BM25).format(condition)
        found: list[Keyed] = []
        with self._transaction() as connection:
            total, mean = connection.execute(
                "SELECT count(*), avg(words)::float8 FROM keyword_passage WHERE collection = %s",
                (name,),
            ).fetchone() or (0, None)
            spread = connection.execute(
                "SELECT word, count(*) FROM keyword_posting"
                " WHERE collection = %s AND word = ANY (%s) GROUP BY word",
                (name, sorted(set(words(question)))),
            )
            for asked in rarities(dict(spread), total):
                rows = connection.execute(
                    best, (mean, list(asked), list(asked.values()), name, *values, k)
                )
                found = [Keyed(*row) for row in rows]
                if len(found) == k:
                    break
        return found

    def texts(self, name: str, ids: Collection[str]) -> dict[str, str]:
        """Return the texts of passages by id."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT id, text FROM keyword_passage WHERE collection = %s AND id = ANY (%s)",
                (name, list(ids)),
            ).fetchall()
        return dict(rows)

    def count(self, name: str, only: Filter | None = None) -> int:
        """Count the passages that pass the filter."""
        condition, values = postgres_where(conditions(only or {}))
        query = sql.SQL("SELECT count(*) FROM keyword_passage WHERE collection = %s AND {}")
        with self._transaction() as connection:
            row = connection.execute(query.format(condition), (name, *values)).fetchone()
        return int(row[0]) if row else 0

    def drop(self, name: str) -> None:
        """Remove the collection with its words."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM keyword_passage WHERE collection = %s", (name,))

    def close(self) -> None:
        """Close the connections; a later verb opens new ones."""
        self._connections.close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Lend a connection to a database that has the tables."""
        if not self._prepared:
            with self._connections.transaction() as connection:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                connection.execute(files(__package__).joinpath("postgres.sql").read_bytes())
            self._prepared = True
        with self._connections.transaction() as connection:
            yield connection


def _put(
    connection: Connection,
    name: str,
    rows: Sequence[KeywordRow],
    counted: Mapping[str, Counter[str]],
) -> None:
    written = connection.execute(
        _PUT,
        (
            name,
            [row.id for row in rows],
            [row.document_id for row in rows],
            [counted[row.id].total() for row in rows],
            [Jsonb(dict(row.fields)) for row in rows],
            [row.text.replace("\0", "") for row in rows],
        ),
    )
    numbers: dict[str, int] = dict(written)
    connection.execute(
        "DELETE FROM keyword_posting WHERE passage = ANY (%s)", (list(numbers.values()),)
    )
    postings = [
        (word, number, occurrences, counted[row_id].total())
        for row_id, number in numbers.items()
        for word, occurrences in counted[row_id].items()
    ]
    if postings:
        connection.execute(_POST, (name, *map(list, zip(*postings, strict=True))))
