"""What every store refuses, so that what one keeps any other can keep."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tidemill_apps.services.vectors.conditions import (
    KEYS,
    Condition,
    conditions,
    is_field,
    is_scalar,
    is_text,
)
from tidemill_apps.services.vectors.store import MOST_FOUND
from tidemill_apps.services.vectors.values import (
    Collection,
    Filter,
    Scalar,
    Unstorable,
    VectorRow,
    VectorsMismatch,
)

ID_BYTES: Final = 512
FIELDS_BYTES: Final = 65_535
_NAME_LENGTH: Final = 200


def check_name(name: str) -> None:
    """Refuse a name that is empty, long or no text."""
    if not 1 <= len(name) <= _NAME_LENGTH or not is_text(name):
        raise Unstorable(
            f"{name[:_NAME_LENGTH]!r} is no name of a collection: give it 1 to {_NAME_LENGTH} "
            "characters of text"
        )


def check_model(collection: Collection, dim: int, model_id: str) -> None:
    """Refuse a collection of vectors that cannot be compared with the caller's."""
    if (collection.dim, collection.model_id) != (dim, model_id):
        raise VectorsMismatch(
            f"collection {collection.name!r} holds vectors of {collection.model_id} "
            f"({collection.dim} numbers), not of {model_id} ({dim} numbers): "
            "use another collection and index again"
        )


def fitting(collection: Collection, rows: Sequence[VectorRow]) -> list[VectorRow]:
    """Return the rows to write: the last of each id, by id, so that two writers never deadlock."""
    last = {row.id: row for row in rows}
    for row in last.values():
        _check_vector(collection, row.vector, f"vector {row.id!r}")
        _check_keys(row)
        _check_fields(row)
    return [last[row_id] for row_id in sorted(last)]


def check_search(collection: Collection, vector: NDArray[np.float32], k: int) -> None:
    """Refuse a question of another dimension, or for more than any store finds."""
    _check_vector(collection, vector, "the question's vector")
    if not 1 <= k <= MOST_FOUND:
        raise Unstorable(f"a search finds 1 to {MOST_FOUND} rows, not {k}")


def deletion(only: Filter) -> list[Condition]:
    """Return the filter's conditions, unless it has none and would empty the collection."""
    if not only:
        raise Unstorable("deleting needs a filter: to remove every row, drop the collection")
    return conditions(only)


def fields_json(fields: Mapping[str, Scalar]) -> str:
    """Return fields as every store keeps them."""
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def _check_vector(collection: Collection, vector: NDArray[np.float32], whose: str) -> None:
    if vector.shape != (collection.dim,):
        raise VectorsMismatch(
            f"{whose} has shape {vector.shape}; "
            f"collection {collection.name!r} takes {collection.dim} numbers"
        )
    if not np.isfinite(vector).all():
        raise VectorsMismatch(f"{whose} has a number that is not finite")


def _check_keys(row: VectorRow) -> None:
    for name, value in (("id", row.id), ("document_id", row.document_id)):
        if not (value and is_text(value) and len(value.encode()) <= ID_BYTES):
            raise Unstorable(f"row {row.id!r}: its {name} is no text of 1 to {ID_BYTES} bytes")


def _check_fields(row: VectorRow) -> None:
    for field, value in row.fields.items():
        if not is_field(field) or field in KEYS:
            raise Unstorable(f"row {row.id!r}: a field cannot be named {field!r}")
        if not is_scalar(value):
            raise Unstorable(
                f"row {row.id!r}: its field {field!r} is no text (without NUL and lone "
                "surrogates), finite number of 64 bits or truth value"
            )
    if len(fields_json(row.fields).encode()) > FIELDS_BYTES:
        raise Unstorable(f"row {row.id!r}: its fields have more than {FIELDS_BYTES} bytes as JSON")
