"""Values as bytes: an envelope with a small header around one JSON document.

    byte 0      version of the envelope, 1
    byte 1      codec of the body, `J` for JSON (`E` where it is encrypted: sealing.py)
    byte 2      length of the key id, 0 while the body is not encrypted
    then        the key id, in ASCII
    then        the body

Engines store an envelope without looking into it. JSON is the only codec: pickle and its like run
code when they are read. What JSON has no form for is a string or an array, and comes back as what
it was when it is decoded as the annotated type:

    int, float, str, bool, None      as they are; integers exactly, up to 4,299 digits
    datetime, date, time, timedelta  RFC 3339 and ISO 8601, to the microsecond
    UUID, Decimal, bytes             text (Decimal exactly, bytes in base64)
    Enum                             its value
    list, tuple, set, frozenset      an array
    dict, TypedDict, dataclass, msgspec.Struct, pydantic model, NamedTuple
                                     an object (NamedTuple: an array)

Decoded as `Any` it stays a string or an array. A naive datetime stays naive; an aware one keeps its
instant and its offset, not the name of its zone. RFC 3339 has offsets in whole minutes: the seconds
of one that has any, as zones do before about 1900, are cut off, so convert such instants to UTC.
NaN and the infinities have no form in JSON and are refused.
"""

import functools
import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, overload

import msgspec

from tidemill.errors import (
    DeclarationError,
    KeyMissing,
    PayloadInvalid,
    PayloadTooLarge,
    PayloadUndecodable,
)
from tidemill.sealing import unsealed

T = TypeVar("T")

MIB = 1024 * 1024

HEADER = b"\x01J\x00"

_PLACE = re.compile(r"(?s)(?P<reason>.*) - at `(?P<path>[^`]*)`")
_NAMED = re.compile(r"Object (?:contains unknown|missing required) field `(?P<name>[^`]*)`")


class Codec(msgspec.Struct, frozen=True):
    """Encodes and decodes envelopes of at most `limit` bytes, header included."""

    limit: int = MIB

    def encode(self, value: object, *, task_type: str | None = None) -> bytes:
        """Encode a value, or raise PayloadInvalid with its place, or PayloadTooLarge.

        `task_type` is for the message only.
        """
        try:
            body = _ENCODER.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            place = _locate(value, _unencodable)
            raise PayloadInvalid(str(error), field=place, task_type=task_type) from error
        # NaN and the infinities are written as null, so only a body with a null can hide one.
        if b"null" in body and _non_finite(value):
            raise PayloadInvalid(
                "NaN and Infinity have no form in JSON; pass None or a string instead",
                field=_locate(value, _non_finite),
                task_type=task_type,
            )
        size = len(HEADER) + len(body)
        if size > self.limit:
            raise PayloadTooLarge(size, self.limit, task_type=task_type)
        return HEADER + body

    @overload
    def decode(self, data: bytes) -> Any: ...
    @overload
    def decode(self, data: bytes, as_type: type[T]) -> T: ...
    @overload
    def decode(self, data: bytes, as_type: Any) -> Any: ...
    def decode(self, data: bytes, as_type: Any = Any) -> Any:
        """Decode an envelope as a type, strictly: "5" is not an int.

        Raises PayloadUndecodable if the bytes are not an envelope, PayloadInvalid if the value in
        it is not of that type, DeclarationError if JSON cannot tell what that type wants to know.
        """
        return read(data, _cached_decoder(as_type))


DEFAULT_CODEC = Codec()


def decoder(as_type: Any) -> msgspec.json.Decoder[Any]:
    """Build the decoder of a type, for `read`; keep it, as building one is slow."""
    try:
        return msgspec.json.Decoder(as_type, dec_hook=_from_json)
    except (TypeError, NameError, ValueError) as error:
        raise DeclarationError(f"{as_type!r} cannot be read from JSON: {error}") from error


def read(data: bytes, decoder: msgspec.json.Decoder[T], *, task_type: str | None = None) -> T:
    """Open an envelope and decode its body; the errors are those of `Codec.decode`."""
    return parse(open_envelope(data), decoder, task_type=task_type)


def parse(
    body: memoryview | msgspec.Raw,
    decoder: msgspec.json.Decoder[T],
    *,
    task_type: str | None = None,
    inside: str = "",
) -> T:
    """Decode JSON; `inside` is the path of the value that it is a part of."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        reason, place = _explain(error)
        field = (inside + place).removeprefix(".") or None
        raise PayloadInvalid(reason, field=field, task_type=task_type) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadUndecodable(f"the body of an envelope is not JSON: {error}") from error


def open_envelope(data: bytes) -> memoryview:
    """Give the body of an envelope, or raise PayloadUndecodable if this process cannot read it."""
    if data[:3] == HEADER:
        return memoryview(data)[3:]
    if len(data) < len(HEADER) or data[0] != HEADER[0]:
        start = bytes(data[:8])
        raise PayloadUndecodable(f"not an envelope of version 1: it starts with {start!r}")
    if data[2]:
        unsealed(data)
        key_id = bytes(data[3 : 3 + data[2]]).decode("ascii", "replace")
        raise KeyMissing(key_id)
    raise PayloadUndecodable(f"the body has the codec {chr(data[1])!r}, only 'J' (JSON) is known")


def _is_model(kind: object) -> bool:
    """Say whether a type is a pydantic model, without importing pydantic for it."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


_PLAIN: dict[type, Callable[[Any], object]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}


def _to_json(value: Any) -> object:
    """Encode what msgspec leaves to us: pydantic models, and subclasses of str, int and float."""
    if _is_model(type(value)):
        # `round_trip` leaves computed fields out, which the model would refuse to read back.
        return value.model_dump(mode="json", by_alias=True, round_trip=True)
    for plain, convert in _PLAIN.items():
        # msgspec encodes a bool itself unless it is a key, where true would become "1".
        if isinstance(value, plain) and not isinstance(value, bool):
            return convert(value)
    raise TypeError(f"{type(value).__qualname__} has no JSON form; pass its parts or a string")


def _from_json(kind: Any, value: object) -> object:
    if kind is object:
        return value
    if _is_model(kind):
        # As JSON, not as Python values: a strict model takes "2024-01-01" for a date only there.
        try:
            return kind.model_validate_json(_ENCODER.encode(value))
        except sys.modules["pydantic"].ValidationError as error:
            raise _ModelError(error.errors(include_url=False)[0]) from error
    raise TypeError(f"{getattr(kind, '__qualname__', kind)} cannot be read from JSON")


class _ModelError(ValueError):
    """The first complaint of a pydantic model, with the place inside the model."""

    def __init__(self, complaint: Any) -> None:
        super().__init__(complaint["msg"])
        self.place = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in complaint["loc"]
        )


_ENCODER = msgspec.json.Encoder(enc_hook=_to_json)


@functools.lru_cache(maxsize=256)
def _cached_decoder(as_type: Any) -> msgspec.json.Decoder[Any]:
    return decoder(as_type)


def _explain(error: msgspec.ValidationError) -> tuple[str, str]:
    """Split msgspec's message into a reason and the place of the value."""
    message = str(error)
    found = _PLACE.fullmatch(message)
    reason, place = (found["reason"], found["path"].replace("$", "", 1)) if found else (message, "")
    if isinstance(error.__cause__, _ModelError):
        place += error.__cause__.place
    named = _NAMED.fullmatch(reason)
    if named:
        place += "." + named["name"]
    return reason[:1].lower() + reason[1:].replace("`", ""), place


def _children(value: Any) -> Iterator[tuple[str, object]]:
    """Give the values inside a value, each with its step of the path."""
    if isinstance(value, dict):
        yield from ((f".{key}", each) for key, each in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", each) for index, each in enumerate(value))
    elif isinstance(value, msgspec.Struct):
        yield from ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((f".{each.name}", getattr(value, each.name)) for each in fields(value))
    elif _is_model(type(value)):
        yield from ((f".{name}", each) for name, each in value)


def _locate(value: object, is_bad: Callable[[object], bool]) -> str | None:
    """Give the path of the innermost bad value inside a bad value."""
    path = ""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        for step, child in _children(value):
            if is_bad(child):
                path, value = path + step, child
                break
    return path.removeprefix(".") or None


def _unencodable(value: object) -> bool:
    try:
        _ENCODER.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return True
    return False


def _non_finite(value: object) -> bool:
    """Say whether NaN or an infinity is anywhere inside, however deep: hence no recursion."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return True
        if value is not None and not isinstance(value, str | int | float):
            waiting.extend(child for _, child in _children(value))
    return False
