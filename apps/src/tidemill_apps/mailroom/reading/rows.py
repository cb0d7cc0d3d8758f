"""Rows of a database as frozen values."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def read(row: Mapping[Any, Any], shape: type[T], **more: object) -> T:
    """A row as a struct whose fields are called as its columns are; `more` are other fields."""
    # SQLAlchemy's names are of a subclass of str, which msgspec does not take for one
    named = {str(name): value for name, value in row.items()}
    return msgspec.convert({**named, **more}, shape)
