"""The seam of search by words, and its values."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from tidemill_apps.services.vectors import Filter, Scalar


class KeywordRow(msgspec.Struct, frozen=True):
    """One passage to keep; `fields` is what filters read."""

    id: str
    document_id: str
    text: str
    fields: Mapping[str, Scalar] = {}


class Keyed(msgspec.Struct, frozen=True):
    """A passage that shares words with a question; a higher `score` is better.

    Scores order the answers to one question and mean nothing beside those of another.
    """

    id: str
    document_id: str
    score: float


class KeywordIndex(Protocol):
    """Collections of passages; a collection is there as soon as it has one.

    Every method may be called from any thread and repeated; several processes may share an index.
    """

    def put(self, name: str, rows: Sequence[KeywordRow]) -> None:
        """Keep all rows or none; a row with the id of an earlier one replaces it."""

    def delete(self, name: str, document_id: str, *, keep: Collection[str] = ()) -> int:
        """Remove a document's passages but those whose ids are in `keep`; answer how many."""

    def search(self, name: str, question: str, k: int, only: Filter | None = None) -> list[Keyed]:
        """Return the `k` best passages that share a word with the question, best first.

        Rare words weigh more. `only` names what the fields of a passage must be.
        """

    def texts(self, name: str, ids: Collection[str]) -> dict[str, str]:
        """Return the texts of passages by id, without those that are not there."""

    def count(self, name: str, only: Filter | None = None) -> int:
        """Return how many passages the collection holds; none in one that nobody has filled."""

    def drop(self, name: str) -> None:
        """Remove the collection, if there is one."""
