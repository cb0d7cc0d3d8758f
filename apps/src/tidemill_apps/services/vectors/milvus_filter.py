"""Filters as Milvus expressions, every value a literal of our own making."""

from collections.abc import Iterable

from tidemill_apps.services.vectors.conditions import KEYS, Condition, OneOf, Within
from tidemill_apps.services.vectors.values import Scalar

NOTHING = 'id == ""'
"""Passes no row: no id is empty."""


def milvus_expression(wanted: Iterable[Condition]) -> str:
    """Return an expression of the columns `id`, `document_id` and `fields` (JSON); "" for all."""
    return " and ".join(_clause(condition) for condition in wanted)


def _clause(condition: Condition) -> str:
    match condition:
        case Within(field=field, limit=str(limit)) if field in KEYS:
            return f"{field} <= {_literal(limit)}"
        case OneOf(field=field, texts=texts) if field in KEYS and texts:
            return f"{field} in [{', '.join(map(_literal, texts))}]"
        case _ if condition.field in KEYS:
            return NOTHING
        case Within(field=field, limit=limit):
            return f'fields["{field}"] <= {_literal(limit)}'
        case OneOf(field=field):
            # `in` of a JSON path is unknown to milvus-lite; Milvus makes one of these itself.
            values = [*condition.texts, *condition.numbers, *condition.truths]
            equal = [f'fields["{field}"] == {_literal(value)}' for value in values]
            return f"({' or '.join(equal)})" if equal else NOTHING


def _literal(value: Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'
        case _:
            return repr(value)
