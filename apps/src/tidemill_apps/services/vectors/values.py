"""What the vectors' contract speaks of: rows, filters, collections, refusals."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

_NAMESPACE: Final = uuid.UUID("b7c1d7e2-55a4-5a3e-9d0b-0d4f1c7a6f52")

Scalar: TypeAlias = str | int | float | bool


class AtMost(msgspec.Struct, frozen=True):
    """A filter that a number (or a text, by its code points) passes up to and including `limit`."""

    limit: int | float | str


Filter: TypeAlias = Mapping[str, Scalar | AtMost | Sequence[Scalar]]
"""What a row must have in each field named: that value, one of the values, or at most the limit.

`id` and `document_id` are fields like the others. A row without the field does not pass. A field
should hold one type throughout a collection: what a filter of another type finds differs by store.
"""


class VectorRow(msgspec.Struct, frozen=True):
    """One vector to keep; a row with the id of an earlier one replaces it.

    `id` and `document_id` are 1 to 512 bytes; names of fields are identifiers of up to 64
    characters, other than these two; all fields together are at most 65,535 bytes as JSON.
    """

    id: str
    document_id: str
    vector: NDArray[np.float32]
    fields: dict[str, Scalar] = {}


class Found(msgspec.Struct, frozen=True):
    """A row that a search returned; `score` is the dot product: 1 for unit vectors that agree."""

    id: str
    document_id: str
    score: float
    fields: dict[str, Scalar]


class IndexParams(msgspec.Struct, frozen=True):
    """How an HNSW graph is built: `m` links a vertex, chosen among `ef_construction` candidates.

    More of either finds more of the true neighbours, and costs memory and time to build. Raises
    `ValueError` outside of what every store takes: 2 to 100 links, 4 to 1,000 candidates, at least
    two candidates a link.
    """

    m: int = 16
    ef_construction: int = 200

    def __post_init__(self) -> None:
        if not (2 <= self.m <= 100 and max(4, 2 * self.m) <= self.ef_construction <= 1000):
            raise ValueError(
                f"an index takes m from 2 to 100 and ef_construction from max(4, 2 m) to 1000, "
                f"not {self.m} and {self.ef_construction}"
            )


class Collection(msgspec.Struct, frozen=True):
    """A named set of vectors of one model; `index` is None where a search is exact."""

    name: str
    dim: int
    model_id: str
    index: IndexParams | None = None


class VectorsMismatch(ValueError):
    """The vectors given are not of the collection's model or dimension; nothing was changed."""


class Unstorable(ValueError):
    """A name, an id, a field or a filter that not every store can keep; nothing was changed."""


class UnknownCollection(LookupError):
    """No collection and no alias has this name; `ensure` makes a collection."""


def row_id(document_id: str, kind: str, ordinal: int, text: str) -> str:
    """The id of a passage: the same for the same text at the same place of the same document.

    A UUIDv5, so that indexing again replaces what it finds, and a changed passage gets another id.
    """
    sha = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return str(uuid.uuid5(_NAMESPACE, f"{document_id}\0{kind}\0{ordinal}\0{sha}"))
