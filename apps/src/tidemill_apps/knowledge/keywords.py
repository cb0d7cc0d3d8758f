"""Words of a text, and BM25 over the segments that contain them.

A table of our own rather than SQLite's FTS5: not every interpreter's SQLite has FTS5, and its
tokenisers take a Chinese sentence for one word.
"""

import heapq
import json
import math
import re
import sqlite3
from collections import Counter, defaultdict
from itertools import pairwise
from operator import itemgetter
from typing import Final

import msgspec

_CHINESE: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # and the Japanese syllables
_RUN: Final = re.compile(rf"(?P<chinese>[{_CHINESE}]+)|(?:(?![{_CHINESE}])[^\W_])+")
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75


class Keyed(msgspec.Struct, frozen=True):
    """A segment that shares words with a question; a higher BM25 `score` is better."""

    segment_id: str
    score: float


def words(text: str) -> list[str]:
    """Return the words of `text`: lower case, plurals cut; pairs of neighbours in Chinese.

    A Chinese character by itself is a word only where it stands alone.
    """
    found: list[str] = []
    for match in _RUN.finditer(_spread_names(text).lower()):
        run = match[0]
        if match["chinese"] is None:
            found.append(_singular(run))
        elif len(run) == 1:
            found.append(run)
        else:
            found += [first + second for first, second in pairwise(run)]
    return found


def keep_words(connection: sqlite3.Connection, segment_id: str, text: str) -> None:
    """Write a segment's words; once more changes nothing."""
    counted = Counter(words(text))
    connection.execute("UPDATE segment SET words = ? WHERE id = ?", (counted.total(), segment_id))
    connection.executemany(
        "INSERT INTO posting (word, segment, occurrences)"
        " SELECT ?, number, ? FROM segment WHERE id = ? ON CONFLICT DO NOTHING",
        [(word, occurrences, segment_id) for word, occurrences in counted.items()],
    )


def keyword_search(
    connection: sqlite3.Connection, dataset: str, question: str, k: int
) -> list[Keyed]:
    """Return the `k` segments of the dataset that answer best by their words (Okapi BM25)."""
    total, mean_words = connection.execute(
        "SELECT count(*), avg(segment.words) FROM segment"
        " JOIN document ON document.id = segment.document_id"
        " WHERE document.dataset = ? AND segment.indexed = 1",
        (dataset,),
    ).fetchone()
    rows = connection.execute(
        "SELECT posting.word, posting.occurrences, segment.id, segment.words FROM posting"
        " JOIN segment ON segment.number = posting.segment"
        " JOIN document ON document.id = segment.document_id"
        " WHERE document.dataset = ? AND posting.word IN (SELECT value FROM json_each(?))",
        (dataset, json.dumps(sorted(set(words(question))))),
    ).fetchall()
    spread = Counter(row["word"] for row in rows)
    scores: defaultdict[str, float] = defaultdict(float)
    for row in rows:
        n = spread[row["word"]]
        rarity = math.log(1 + (total - n + 0.5) / (n + 0.5))
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * row["words"] / mean_words
        often = row["occurrences"]
        scores[row["id"]] += rarity * often * (_SATURATION + 1) / (often + _SATURATION * length)
    best = heapq.nlargest(k, scores.items(), key=itemgetter(1))
    return [Keyed(segment_id, score) for segment_id, score in best]


def _spread_names(text: str) -> str:
    """Put a space into `camelCase`, so that the parts of a name are found."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "sui" else word
