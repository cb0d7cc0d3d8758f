"""A filter sorted out: what each store has to translate."""

import math
import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from tidemill_apps.services.vectors.values import AtMost, Filter, Scalar, Unstorable

KEYS: Final = frozenset({"id", "document_id"})
"""The fields that are columns of their own; both hold text."""

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class OneOf(msgspec.Struct, frozen=True):
    """The field has one of these values; of none at all, nothing passes."""

    field: str
    texts: list[str]
    numbers: list[int | float]
    truths: list[bool]


class Within(msgspec.Struct, frozen=True):
    """The field is a number (or a text) up to and including the limit."""

    field: str
    limit: int | float | str


Condition: TypeAlias = OneOf | Within


def conditions(only: Filter) -> list[Condition]:
    """Return what must all hold; `Unstorable` for a name or a value that no row can have."""
    return [_condition(field, wanted) for field, wanted in only.items()]


def is_field(name: str) -> bool:
    """Whether a row may have a field of this name: an identifier of up to 64 characters."""
    return _FIELD.fullmatch(name) is not None


def is_scalar(value: object) -> bool:
    """Whether a field may hold the value: text, finite number of 64 bits, truth value."""
    match value:
        case str():
            return is_text(value)
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case _:
            return False


def is_text(value: str) -> bool:
    """Whether UTF-8 can say it (no lone surrogates) and PostgreSQL can keep it (no NUL)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _condition(field: str, wanted: Scalar | AtMost | Sequence[Scalar]) -> Condition:
    if not is_field(field):
        raise Unstorable(f"{field!r} is no name of a field: letters, digits and _ make one")
    match wanted:
        case AtMost(limit=limit):
            _check_values(field, [limit])
            if isinstance(limit, bool):
                raise Unstorable(f"{field!r} at most {limit}: truth values have no order")
            return Within(field, limit)
        case str() | int() | float():
            return _one_of(field, [wanted])
        case _:
            return _one_of(field, wanted)


def _one_of(field: str, values: Sequence[Scalar]) -> OneOf:
    _check_values(field, values)
    return OneOf(
        field,
        texts=[value for value in values if isinstance(value, str)],
        numbers=[value for value in values if not isinstance(value, str | bool)],
        truths=[value for value in values if isinstance(value, bool)],
    )


def _check_values(field: str, values: Sequence[Scalar]) -> None:
    for value in values:
        if not is_scalar(value):
            raise Unstorable(f"no row can have {value!r} in its field {field!r}")
