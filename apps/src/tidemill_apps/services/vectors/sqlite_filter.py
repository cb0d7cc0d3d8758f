"""Filters as SQL over a SQLite column of JSON objects."""

import json
from collections.abc import Iterable, Iterator, Sequence

from tidemill_apps.services.vectors.conditions import KEYS, Condition, OneOf, Within
from tidemill_apps.services.vectors.values import Scalar

_LISTED = "IN (SELECT value FROM json_each(?))"
_NUMBER = "IN ('integer', 'real')"


def sqlite_where(wanted: Iterable[Condition], fields: str = "fields") -> tuple[str, list[Scalar]]:
    """Return a condition made of constants alone, and the values of its parameters.

    `fields` is the column's name in the query; `id` and `document_id` are columns beside it.
    """
    clauses, values = ["TRUE"], list[Scalar]()
    for condition in wanted:
        clause, parameters = _clause(condition, fields)
        clauses.append(clause)
        values += parameters
    return " AND ".join(clauses), values


def _clause(condition: Condition, fields: str) -> tuple[str, list[Scalar]]:
    type_, value = f"json_type({fields}, ?)", f"json_extract({fields}, ?)"
    path = f'$."{condition.field}"'
    match condition:
        case Within(field=field, limit=str(limit)) if field in KEYS:
            return f"{field} <= ?", [limit]
        case OneOf(field=field, texts=texts) if field in KEYS:
            return f"{field} {_LISTED}", [json.dumps(texts)]
        case Within(limit=str(limit)):
            return f"({type_} = 'text' AND {value} <= ?)", [path, path, limit]
        case Within(limit=limit):
            return f"({type_} {_NUMBER} AND {value} <= ?)", [path, path, limit]
        case OneOf():
            return _either(
                [
                    (f"{type_} {_LISTED}", [path], [json.dumps(v) for v in condition.truths]),
                    (f"{value} {_LISTED}", [path], condition.texts),
                    (f"{type_} {_NUMBER} AND {value} {_LISTED}", [path, path], condition.numbers),
                ]
            )


def _either(
    kinds: Iterable[tuple[str, list[str], Sequence[Scalar]]],
) -> tuple[str, list[Scalar]]:
    """Join the kinds of value that are asked for; of none, nothing passes."""
    asked = [kind for kind in kinds if kind[2]]
    clauses = [f"({clause})" for clause, _, _ in asked]
    return f"({' OR '.join(['FALSE', *clauses])})", list(_parameters(asked))


def _parameters(asked: Iterable[tuple[str, list[str], Sequence[Scalar]]]) -> Iterator[Scalar]:
    for _, paths, values in asked:
        yield from paths
        yield json.dumps(values)
