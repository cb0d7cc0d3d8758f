"""Search by words in SQLite: an inverted index in tables of its own, and Okapi BM25.

Tables of our own rather than FTS5: not every interpreter's SQLite has it, and its tokenisers take
a Chinese sentence for one word.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from importlib.resources import files
from typing import Final

from tidemill_apps.services.keywords.asked import rarities
from tidemill_apps.services.keywords.contract import Keyed, KeywordRow
from tidemill_apps.services.keywords.words import words
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import Filter
from tidemill_apps.services.vectors.conditions import conditions
from tidemill_apps.services.vectors.sqlite_filter import sqlite_where

# Okapi BM25 (Robertson and Zaragoza, 2009) with the usual k1 = 1.2 and b = 0.75.
_BM25: Final = """
SELECT id, document_id, score
FROM (
    SELECT posting.passage,
        sum(asked.value * posting.occurrences * 2.2 / (posting.occurrences
            + 1.2 * (0.25 + 0.75 * posting.words / ?))) AS score
    FROM json_each(?) AS asked
    CROSS JOIN keyword_posting AS posting ON posting.collection = ? AND posting.word = asked.key
    GROUP BY posting.passage
) JOIN keyword_passage ON number = passage
WHERE {}
ORDER BY score DESC, id LIMIT ?
"""


class SqliteKeywords:
    """A `KeywordIndex` in `file`, for up to 50,000 passages in a collection.

    Every method joins the transaction that its thread has open on `file`.
    """

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        file.run_script(files(__package__).joinpath("sqlite.sql").read_text("utf-8"))

    def put(self, name: str, rows: Sequence[KeywordRow]) -> None:
        """Keep all rows or none."""
        with self._file.transaction() as connection:
            for row in rows:
                _put(connection, name, row)

    def delete(self, name: str, document_id: str, *, keep: Collection[str] = ()) -> int:
        """Remove a document's passages but those to keep."""
        with self._file.transaction() as connection:
            return connection.execute(
                "DELETE FROM keyword_passage WHERE collection = ? AND document_id = ?"
                " AND id NOT IN (SELECT value FROM json_each(?))",
                (name, document_id, json.dumps(list(keep))),
            ).rowcount

    def search(self, name: str, question: str, k: int, only: Filter | None = None) -> list[Keyed]:
        """Return the passages that answer best by their words."""
        connection = self._file.connection()
        total, mean = connection.execute(
            "SELECT count(*), avg(words) FROM keyword_passage WHERE collection = ?", (name,)
        ).fetchone()
        spread = connection.execute(
            "SELECT word, count(*) FROM keyword_posting WHERE collection = ?"
            " AND word IN (SELECT value FROM json_each(?)) GROUP BY word",
            (name, json.dumps(sorted(set(words(question))))),
        )
        condition, values = sqlite_where(conditions(only or {}))
        found: list[Keyed] = []
        for asked in rarities(dict(map(tuple, spread)), total):
            rows = connection.execute(
                _BM25.format(condition), (mean, json.dumps(asked), name, *values, k)
            )
            found = [Keyed(*row) for row in rows]
            if len(found) == k:
                break
        return found

    def texts(self, name: str, ids: Collection[str]) -> dict[str, str]:
        """Return the texts of passages by id."""
        rows = self._file.connection().execute(
            "SELECT id, text FROM keyword_passage WHERE collection = ?"
            " AND id IN (SELECT value FROM json_each(?))",
            (name, json.dumps(list(ids))),
        )
        return dict(map(tuple, rows))

    def count(self, name: str, only: Filter | None = None) -> int:
        """Count the passages that pass the filter."""
        condition, values = sqlite_where(conditions(only or {}))
        query = "SELECT count(*) FROM keyword_passage WHERE collection = ? AND "
        row = self._file.connection().execute(query + condition, (name, *values)).fetchone()
        return int(row[0])

    def drop(self, name: str) -> None:
        """Remove the collection with its words."""
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM keyword_passage WHERE collection = ?", (name,))


def _put(connection: sqlite3.Connection, name: str, row: KeywordRow) -> None:
    counted = Counter(words(row.text))
    connection.execute(
        "DELETE FROM keyword_passage WHERE collection = ? AND id = ?", (name, row.id)
    )
    number = connection.execute(
        "INSERT INTO keyword_passage (collection, id, document_id, words, fields, text)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (name, row.id, row.document_id, counted.total(), json.dumps(dict(row.fields)), row.text),
    ).lastrowid
    connection.executemany(
        "INSERT INTO keyword_posting (collection, word, passage, occurrences, words)"
        " VALUES (?, ?, ?, ?, ?)",
        [(name, word, number, often, counted.total()) for word, often in counted.items()],
    )
