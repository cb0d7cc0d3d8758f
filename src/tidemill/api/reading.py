"""From the bytes of a request to checked values, or the problem that says what is wrong."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
import msgspec.inspect

from tidemill.api.problems import Refused, invalid, refused
from tidemill.interface.problems import FieldProblem

_LITERALS: Final = (
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.BoolType,
)

S = TypeVar("S", bound=msgspec.Struct)

_PLACE: Final = re.compile(r"(?s)(?P<reason>.*) - at `(?P<path>[^`]*)`")
_NAMED: Final = re.compile(r"Object (?:contains unknown|missing required) field `(?P<name>[^`]*)`")


def body_of(raw: bytes, content_type: str | None, decoder: msgspec.json.Decoder[S]) -> S:
    """A JSON body; an empty one stands for `{}`.

    Raises `Refused`: 415 for another content type, 400 for what is no JSON, 422 for JSON that says
    something else.
    """
    if raw:
        _check_type(content_type)
    return decoded(raw or b"{}", decoder)


def _check_type(content_type: str | None) -> None:
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise refused(
            "unsupported-media-type",
            415,
            "The body must be JSON.",
            f"The body has the content type {kind or 'of nothing'!r}: send application/json.",
            headers={"Accept": "application/json"},
        )


def decoded(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[S], place: str = "") -> S:
    """JSON as a checked value; `place` is the path of what it is a part of."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(_field(error, place)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(str(error)) from error
    except RecursionError as error:
        raise _malformed("it is nested too deeply") from error


def _malformed(reason: str) -> Refused:
    return refused(
        "malformed-json", 400, "The body is not JSON.", f"The body is not JSON: {reason}"
    )


def query_of(given: Sequence[tuple[str, str]], wanted: type[S]) -> S:
    """The values of a query string; those of a field with the default `()` may be repeated.

    Raises `Refused`, 422, also for names that the address does not know: a misspelt filter must not
    be taken for none.
    """
    values = _collected(given, wanted)
    try:
        return msgspec.convert(values, wanted)
    except msgspec.ValidationError as error:
        raise invalid(_field(error, "")) from error


def _collected(given: Sequence[tuple[str, str]], wanted: type[msgspec.Struct]) -> Mapping[str, Any]:
    repeated, literal = _kinds(wanted)
    values: dict[str, Any] = {}
    for name, text in given:
        value = _literal(text) if name in literal else text
        if name in repeated:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise invalid(FieldProblem(name, "is given twice"))
        else:
            values[name] = value
    return values


@lru_cache
def _kinds(wanted: type[msgspec.Struct]) -> tuple[frozenset[str], frozenset[str]]:
    """The fields that may be repeated, and those that are numbers or true or false."""
    fields = msgspec.structs.fields(wanted)
    repeated = frozenset(each.encode_name for each in fields if each.default == ())
    literal = frozenset(
        each.encode_name for each in fields if _is_literal(msgspec.inspect.type_info(each.type))
    )
    return repeated, literal


def _is_literal(told: msgspec.inspect.Type) -> bool:
    match told:
        case msgspec.inspect.Metadata():
            return _is_literal(told.type)
        case msgspec.inspect.UnionType():
            return any(_is_literal(each) for each in told.types)
    return isinstance(told, _LITERALS)


def _literal(text: str) -> Any:
    """A number, true or false as JSON writes them; what is none stays a text, and is refused."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return text if value is None else value


def _field(error: msgspec.ValidationError, place: str) -> FieldProblem:
    """Where msgspec found a value wrong, and what it says of it."""
    message = str(error)
    found = _PLACE.fullmatch(message)
    reason, path = (found["reason"], found["path"].removeprefix("$")) if found else (message, "")
    named = _NAMED.fullmatch(reason)
    if named:
        path += f".{named['name']}"
    reason = reason[:1].lower() + reason[1:].replace("`", "")
    return FieldProblem((place + path).removeprefix("."), reason)
