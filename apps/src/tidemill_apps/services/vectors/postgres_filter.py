"""Filters as SQL over a PostgreSQL column of JSON objects."""

import json
from collections.abc import Iterable

from psycopg import sql

from tidemill_apps.services.vectors.conditions import KEYS, Condition, OneOf, Within

Clause = tuple[sql.Composable, list[object]]


def postgres_where(wanted: Iterable[Condition], fields: str = "fields") -> Clause:
    """Return a condition made of constants alone, and the values of its parameters.

    `fields` is the jsonb column's name; `id` and `document_id` are text columns beside it.
    """
    clauses: list[sql.Composable] = [sql.SQL("TRUE")]
    values: list[object] = []
    for condition in wanted:
        clause, parameters = _clause(condition, sql.Identifier(fields))
        clauses.append(clause)
        values += parameters
    return sql.SQL(" AND ").join(clauses), values


def _clause(condition: Condition, fields: sql.Identifier) -> Clause:
    match condition:
        case Within(field=field, limit=str(limit)) if field in KEYS:
            return sql.SQL('{} COLLATE "C" <= %s').format(sql.Identifier(field)), [limit]
        case OneOf(field=field, texts=texts) if field in KEYS:
            return sql.SQL("{} = ANY(%s)").format(sql.Identifier(field)), [texts]
        case Within(field=field, limit=str(limit)):
            text = sql.SQL(
                "jsonb_typeof({0} -> %s) = 'string' AND ({0} ->> %s) COLLATE \"C\" <= %s"
            )
            return text.format(fields), [field, field, limit]
        case Within(field=field, limit=limit):
            number = sql.SQL("jsonb_typeof({0} -> %s) = 'number' AND {0} -> %s <= %s::jsonb")
            return number.format(fields), [field, field, json.dumps(limit)]
        case OneOf(field=field):
            values = [*condition.texts, *condition.numbers, *condition.truths]
            objects = [json.dumps({field: value}) for value in values]
            if len(objects) == 1:  # the index of fields answers one object, not a list of them
                return sql.SQL("{} @> %s::jsonb").format(fields), [objects[0]]
            return sql.SQL("{} @> ANY(%s::jsonb[])").format(fields), [objects]
