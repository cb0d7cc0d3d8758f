"""Secrets in payloads and results: which values they are, and how they are kept from being shown.

A declared secret (`password: Secret[str]`) is known by its place. The places of a task type are
worked out once, and go with its tasks as a header, so that a process without the code masks them
too. Besides, values with a name such as `password` are masked wherever they stand.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import inspect

from tidemill.errors import PayloadInvalid

T = TypeVar("T")

MASK: Final = "***"
"""What is shown in the place of a secret."""

SECRETS: Final = "tidemill-secrets"
"""The header of a task whose type declares secrets: their places."""

SHORTEST: Final = 4
"""Characters of a secret that is looked for in texts; shorter ones stand in ordinary words."""

MASKED_NAMES: Final = frozenset(
    {
        *("password", "passwd", "pwd", "passphrase", "secret", "client_secret", "secret_key"),
        *("token", "access_token", "refresh_token", "id_token", "auth_token", "session_token"),
        *("api_key", "apikey", "api-key", "x-api-key", "access_key", "private_key"),
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "credentials"),
        *("encryption_key", "former_encryption_keys"),
    }
)
"""Names whose values are masked at any depth, whatever their case."""

_MARK = "tidemill.secret"

Secret = Annotated[T, msgspec.Meta(extra={_MARK: True}, extra_json_schema={"writeOnly": True})]
"""Declares a value as secret: `password: Secret[str]`, as a parameter, a field, or a result.

It is what it is for the function; where tasks are shown it is `***`, and so is each occurrence of
it in the errors, logs and progress of the task's own run.
"""

Path = tuple[str | None, ...]
"""The way to a value: names of fields; None for every item of an array, and every value of an
object whose names are free."""

_NAMED = re.compile(
    rb'"(?:'
    + b"|".join(re.escape(name.encode()) for name in sorted(MASKED_NAMES))
    + rb')"\s*:|\\u',
    re.IGNORECASE,
)


class Secrets(msgspec.Struct, frozen=True):
    """The places of the secrets in the payloads and the results of a task type."""

    payload: tuple[Path, ...] = ()
    result: tuple[Path, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """What goes with a task of this type."""
        if not self.payload and not self.result:
            return {}
        return {SECRETS: msgspec.json.encode(self).decode()}

    def veil(self, payload: Any) -> "Veil | None":
        """What hides the secrets of a decoded payload in texts; None where there are none."""
        found = {text for each in _at(payload, self.payload) for text in _texts(each)}
        return Veil.over(found) if found else None


NO_SECRETS: Final = Secrets()
_ALL: Final = Secrets(((),), ((),))
_decode = msgspec.json.Decoder(Secrets).decode


def secrets_of(headers: dict[str, str]) -> Secrets:
    """The places that a task's headers tell; everything is secret where they cannot be read."""
    told = headers.get(SECRETS)
    return NO_SECRETS if told is None else _told(told)


@functools.lru_cache(maxsize=256)
def _told(header: str) -> Secrets:
    try:
        return _decode(header)
    except msgspec.DecodeError:
        return _ALL


# what is shown


def may_show(body: bytes | memoryview, paths: Iterable[Path]) -> bool:
    """Whether JSON surely has nothing to mask; False where it must be looked at."""
    return not paths and _NAMED.search(body) is None


def masked(value: Any, paths: Iterable[Path] = ()) -> Any:
    """A JSON value, which is changed, with its secrets masked, however deep they are.

    >>> masked({"user": {"name": "ann", "pin": 1234}, "Token": "t"}, [("user", "pin")])
    {'user': {'name': 'ann', 'pin': '***'}, 'Token': '***'}
    """
    whole = [value]
    for place in _places(whole, paths):
        if place.inside[place.step] is not None:
            place.inside[place.step] = MASK
    return whole[0]


def unmasked(value: Any, before: Any, paths: Iterable[Path]) -> Any:
    """A JSON value in which each secret that shows a mask is what was there before.

    Raises `PayloadInvalid` where nothing was there, as where a list has become longer or shorter.

    >>> unmasked({"pin": "***", "n": 2}, {"pin": 1234, "n": 1}, [("pin",)])
    {'pin': 1234, 'n': 2}
    """
    whole = [value]
    if not any(_is_mask(place) for place in _places(whole, paths)):
        return value
    whole = [deepcopy(value)]
    for place in _places(whole, paths):
        if _is_mask(place):
            found = _found([before], place.way)
            if found is _ABSENT:
                named = ".".join(str(step) for step, _ in place.way[1:])
                raise PayloadInvalid(
                    f"{MASK} stands for a secret of the payload before, which had none here: "
                    "write the secret itself",
                    field=named or None,
                )
            place.inside[place.step] = found
    return whole[0]


_Way = tuple[tuple[str | int, int | None], ...]
"""Steps from the outside in; with a position, how long its list is."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A masked place: `step` inside of a list or dict, and the whole way there."""

    inside: Any
    step: str | int
    way: _Way


def _places(whole: list[Any], paths: Iterable[Path]) -> Iterator[_Place]:
    """The places of secrets in the one value of a list; not recursive, as values may be deep."""
    waiting: list[tuple[Any, _Way, list[Path]]] = [(whole, (), [(None, *path) for path in paths])]
    while waiting:
        inside, way, ahead = waiting.pop()
        parts, size = (
            (inside.items(), None) if isinstance(inside, dict) else (enumerate(inside), len(inside))
        )
        for step, part in list(parts):
            there = (*way, (step, size))
            left = [path[1:] for path in ahead if path[0] is None or path[0] == step]
            if () in left or (isinstance(step, str) and step.lower() in MASKED_NAMES):
                yield _Place(inside, step, there)
            elif isinstance(part, dict | list):
                waiting.append((part, there, left))


def _is_mask(place: _Place) -> bool:
    part = place.inside[place.step]
    return isinstance(part, str) and part == MASK


_ABSENT: Final = object()


def _found(value: Any, way: _Way) -> Any:
    """What stands there in another value; absent where one of its lists has another length."""
    for step, size in way:
        fits = step in value if isinstance(value, dict) else isinstance(value, list)
        if not fits or size != (len(value) if isinstance(value, list) else None):
            return _ABSENT
        value = value[step]
    return value


# what is said


@dataclass(frozen=True, slots=True)
class Veil:
    """Replaces the secrets of one payload in texts."""

    _secrets: re.Pattern[str] = field(repr=False)

    @classmethod
    def over(cls, texts: Iterable[str]) -> "Veil":
        """A veil over these, also as they stand in a representation or in JSON."""
        forms = {form for each in texts for form in (each, repr(each)[1:-1], _in_json(each))}
        longest_first = sorted(forms, key=len, reverse=True)
        return cls(re.compile("|".join(map(re.escape, longest_first))))

    def __call__(self, text: str) -> str:
        """The same text with each secret masked."""
        return self._secrets.sub(MASK, text)


def veiled(veil: Veil | None, text: str) -> str:
    """A text behind a veil, if there is one."""
    return text if veil is None else veil(text)


def together(veils: Iterable[Veil | None]) -> Veil | None:
    """One veil over what each of them hides."""
    patterns = [each._secrets.pattern for each in veils if each is not None]  # noqa: SLF001  # its own class
    return Veil(re.compile("|".join(patterns))) if patterns else None


def _in_json(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]


def _at(value: Any, paths: Iterable[Path]) -> Iterator[Any]:
    """The values at some places."""
    for path in paths:
        here = [value]
        for step in path:
            here = [part for each in here for part in _parts(each, step)]
        yield from here


def _parts(value: Any, step: str | None) -> Iterable[Any]:
    match value:
        case dict():
            return value.values() if step is None else [value[step]] if step in value else ()
        case list():
            return value if step is None else ()
    return ()


def _texts(value: Any) -> Iterator[str]:
    """The texts and numbers in a value that are long enough to be looked for."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as inside:
                waiting += inside.values()
            case list() as inside:
                waiting += inside
            case bool() | None:
                continue
            case part if len(text := str(part)) >= SHORTEST:
                yield text


# what is declared


_Found = tuple[Path, type | None]
"""A secret's path; or, with a class, a path that leads into that class again."""


def secret_paths(hint: Any) -> tuple[Path, ...]:
    """The places of declared secrets in the JSON of a type.

    A type that contains itself, and secrets, is secret as a whole where it stands inside itself:
    its depth has no end.
    """
    return tuple(
        dict.fromkeys(path for path, again in _walk(inspect.type_info(hint), ()) if not again)
    )


def _walk(kind: inspect.Type, within: tuple[type, ...]) -> list[_Found]:
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            return [((), None)] if (extra or {}).get(_MARK) else _walk(inner, within)
        case inspect.UnionType(types=types):
            return [found for each in types for found in _walk(each, within)]
        case (
            inspect.ListType(item_type=item)
            | inspect.SetType(item_type=item)
            | inspect.FrozenSetType(item_type=item)
            | inspect.VarTupleType(item_type=item)
        ):
            return _below(None, _walk(item, within))
        case inspect.TupleType(item_types=items):
            return [found for each in items for found in _below(None, _walk(each, within))]
        case inspect.DictType(key_type=key, value_type=value):
            # A name cannot be masked alone.
            return [((), None)] if _walk(key, within) else _below(None, _walk(value, within))
        case inspect.NamedTupleType(cls=cls, fields=fields):
            return _class(cls, [(None, each.type) for each in fields], within)
        case inspect.StructType(cls=cls, fields=fields, array_like=array_like):
            named = [(None if array_like else each.encode_name, each.type) for each in fields]
            return _class(cls, named, within)
        case (
            inspect.DataclassType(cls=cls, fields=fields)
            | inspect.TypedDictType(cls=cls, fields=fields)
        ):
            return _class(cls, [(each.encode_name, each.type) for each in fields], within)
        case inspect.CustomType(cls=cls) if hasattr(cls, "model_fields"):
            return _class(cls, list(_of_model(cls)), within)
    return []


def _below(step: str | None, found: list[_Found]) -> list[_Found]:
    return [((step, *path), again) for path, again in found]


def _class(
    cls: type, fields: list[tuple[str | None, inspect.Type]], within: tuple[type, ...]
) -> list[_Found]:
    if cls in within:
        return [((), cls)]
    found = [each for name, kind in fields for each in _below(name, _walk(kind, (*within, cls)))]
    has_secrets = any(again is None for _, again in found)
    return [
        (path, None if again is cls else again)
        for path, again in found
        if again is not cls or has_secrets
    ]


def _of_model(cls: Any) -> Iterator[tuple[str | None, inspect.Type]]:
    """The fields of a pydantic model, which takes the annotation of a field apart."""
    for name, each in cls.model_fields.items():
        hint = each.annotation
        for meta in each.metadata:
            if isinstance(meta, msgspec.Meta):
                hint = Annotated[hint, meta]
        yield each.serialization_alias or each.alias or name, inspect.type_info(hint)
