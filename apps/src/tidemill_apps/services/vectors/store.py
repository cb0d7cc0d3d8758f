"""The seam of vector search."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidemill_apps.services.vectors.values import (
    Collection,
    Filter,
    Found,
    IndexParams,
    VectorRow,
)

MOST_FOUND = 10_000
"""The largest `k` that every store takes."""


class VectorStore(Protocol):
    """Named collections of vectors, each of one model and one dimension.

    Every verb blocks, is safe from any thread and may be repeated; several processes may use one
    store, and each sees what another has been told is done. A `name` is 1 to 200 characters, that
    of a collection or an alias. Besides the errors named here, a verb raises `Unavailable` when the
    server cannot be reached, and `Permanent` when it refuses for good.
    """

    def ensure(self, name: str, *, dim: int, model_id: str) -> Collection:
        """Make the collection unless it exists, and mend one whose making was interrupted.

        Raises `VectorsMismatch` when it exists with another model or dimension.
        """

    def upsert(self, name: str, rows: Sequence[VectorRow]) -> None:
        """Keep the rows; of several with one id, the last.

        Raises `VectorsMismatch` or `Unstorable`, which name the row, before anything is kept. What
        is cut short keeps all or nothing on SQLite and PostgreSQL; on Milvus perhaps the first
        thousands.
        """

    def delete(self, name: str, only: Filter) -> int:
        """Remove the rows that pass; answer how many. An empty filter raises `Unstorable`."""

    def ids(self, name: str, document_id: str) -> list[str]:
        """Return the ids of a document's rows, sorted."""

    def search(
        self, name: str, vector: NDArray[np.float32], k: int, only: Filter | None = None
    ) -> list[Found]:
        """Return the `k` rows (1 to `MOST_FOUND`) most alike, best first; fewer if there are fewer.

        An index may miss some of the true neighbours and take the next ones instead. It does not
        answer fewer than `k` while more pass (of 4,096 at most on Milvus).
        """

    def count(self, name: str, only: Filter | None = None) -> int:
        """Return how many rows the collection holds, in all or of those that pass."""

    def collections(self) -> list[Collection]:
        """Return every collection, by name, without the aliases."""

    def drop(self, name: str) -> bool:
        """Remove the collection and the aliases that point to it; False if there was none.

        An alias stands for its collection here too.
        """

    def point(self, alias: str, name: str) -> None:
        """Let the alias mean the collection from now on: a caller sees the old or the new one.

        Raises `Unstorable` when a collection itself has the alias' name.
        """

    def target(self, alias: str) -> str:
        """Return the name of the collection that an alias means; a collection means itself."""

    def rebuild(self, name: str, index: IndexParams) -> Collection:
        """Build the search index anew, with these parameters; nothing to do where there is none.

        Writers wait meanwhile. On Milvus searches raise `Unavailable` until it is done: fill a
        second collection and `point` an alias to it where they must not.
        """

    def close(self) -> None:
        """Close the connections; a later verb opens new ones."""
